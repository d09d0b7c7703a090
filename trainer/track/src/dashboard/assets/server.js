// Questions to the server, and the pulse by which the page learns that something is new.

/** Asks the server; what is empty is not asked for, and lists are asked for one by one. */
export async function ask(path, parameters = {}, signal = undefined) {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  const wanted = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(wanted).toString();
  const response = await fetch(`/api/${path}${query ? `?${query}` : ""}`, { signal });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

/** Lines of so many measurements are asked for at a time, so that no address becomes too long. */
const AT_ONCE = 40;

/** Lines of measurements of a run, by name. */
export async function askSeries(run, names, parameters, signal) {
  const parts = [];
  for (let at = 0; at < names.length; at += AT_ONCE) parts.push(names.slice(at, at + AT_ONCE));
  const all = await Promise.all(parts.map((name) => ask(`runs/${run.id}/series`, { ...parameters, name }, signal)));
  return Object.assign({}, ...all);
}

const BEAT_MS = 1000;

/** Looks every second for what is new, while the page is seen; `changed` gets the pulses of all runs and which differ. */
export function keepLooking(changed, failed) {
  let last = [];
  const look = async () => {
    if (!document.hidden) {
      try {
        const pulses = await ask("pulse");
        const texts = pulses.map((pulse) => JSON.stringify(pulse));
        const different = texts.flatMap((text, run) => (text === last[run] ? [] : [run]));
        // Waited for: what takes longer than a beat is finished before there is more of it.
        if (different.length > 0) await changed(pulses, last.length === 0 ? [] : different);
        last = texts;
        failed(null);
      } catch (error) {
        failed(error);
      }
    }
    setTimeout(look, BEAT_MS);
  };
  look();
}

/** Runs one task at a time: a newer call ends the older one, and calls while hidden wait. */
export function latest(task) {
  let current = new AbortController();
  return async (...parameters) => {
    current.abort();
    const own = (current = new AbortController());
    try {
      await task(own.signal, ...parameters);
    } catch (error) {
      if (!own.signal.aborted) throw error;
    }
  };
}
