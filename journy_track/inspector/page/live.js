// The line to the inspector: first the newest, then what comes, and the older ones behind.

const FIRST = 200; // enough for the first sight
const CHUNK = 1000;

export class Live {
  // `onNews(answer, "newest" | "new" | "older")`, `onState("live" | "lost")`.
  constructor(onNews, onState) {
    this.onNews = onNews;
    this.onState = onState;
  }

  async open() {
    let newest;
    try {
      newest = await ask(`limit=${FIRST}`);
    } catch {
      this.onState("lost");
      setTimeout(() => this.open(), 1000);
      return;
    }
    this.onNews(newest, "newest");
    this.#listen(newest.run, newest.counts.requests, newest.reported);
    // What fails here fails for the stream as well, which says so.
    await this.#older(newest).catch(() => this.onState("lost"));
  }

  #listen(run, last, reported) {
    const source = new EventSource(`__inspector/stream?run=${run}&after=${last}&reported=${reported}`);
    source.addEventListener("open", () => this.onState("live"));
    source.addEventListener("message", (event) => {
      const answer = JSON.parse(event.data);
      last = answer.requests.at(-1)?.number ?? (answer.run === run ? last : 0);
      run = answer.run;
      reported = answer.reported;
      this.onNews(answer, "new");
    });
    source.addEventListener("error", () => {
      this.onState("lost");
      // The browser tries again by itself, unless the response was not a stream.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.#listen(run, last, reported), 1000);
    });
  }

  async #older({ run, requests }) {
    let before = requests[0]?.number ?? 0;
    while (before > 1) {
      const answer = await ask(`before=${before}&limit=${CHUNK}`);
      if (answer.run !== run || answer.requests.length === 0) return;
      this.onNews(answer, "older");
      before = answer.requests[0].number;
    }
  }
}

async function ask(query) {
  const response = await fetch(`__inspector/requests?${query}`, { cache: "no-store" });
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}
