export const at = (id) => document.getElementById(id);

// An element with properties (`class`, `style` and `data` as objects allowed) and children; text is never markup.
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name === "style") Object.assign(made.style, value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const findings = (named) => named.map(({ name, score }) => `${name} ${score.toFixed(2)}`).join(", ");
export const mm = (value) => `${Math.round(value)} mm`;

// Files that were chosen one by one have no folder in common.
export const title = ({ path, variant }) => (path === "." ? "files side by side" : path) + (variant ? ` (${variant})` : "");
