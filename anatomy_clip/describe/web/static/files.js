// The files of a drop or a choice, each with the name that the server is told: { file, name }.

export function chosen(input) {
  const found = [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  input.value = ""; // the same files may be chosen again
  return found.filter(isShown);
}

export async function dropped(transfer) {
  // Entries must be asked for before the first pause: after it the transfer is empty.
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, name: file.name })).filter(isShown);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found.filter(isShown);
}

const isShown = ({ name }) => !name.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) { // a reader gives a hundred at a time
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const below of some) await walk(below, found);
  }
}
