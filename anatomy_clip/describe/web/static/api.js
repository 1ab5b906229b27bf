// Questions to the server; every trouble is an Error whose message can be shown.

export async function ask(method, address, { body, headers, signal } = {}) {
  let answer;
  try {
    answer = await fetch(address, { method, body, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running, and do the files still exist?");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.error || `The server answered ${answer.status}.`);
}

export const study = (key) => `api/studies/${key}`;
export const picture = (key, series, place) => `${study(key)}/series/${series}/slices/${place}.png`;

// Also while the page is being closed.
export const forget = (key) => fetch(study(key), { method: "DELETE", keepalive: true }).catch(() => {});
