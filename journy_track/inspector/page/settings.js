// What this inspector was started with.

export const settings = { trace_url: null, forward: null, catalogue: false };

export async function readSettings() {
  const response = await fetch("__inspector/settings");
  if (response.ok) Object.assign(settings, await response.json());
}
