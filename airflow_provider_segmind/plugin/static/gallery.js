// The gallery of body swaps, in three places of Airflow's UI: its own page, a DAG run, a task.
// Airflow loads this module and takes the component from the global with the entry's name; React is a global of its own.

const { createElement: h, useCallback, useEffect, useRef, useState } = globalThis.React;

const ROOT = new URL("../", import.meta.url); // …/segmind/, under whatever path Airflow is served
const AIRFLOW = new URL("../", ROOT);
const VERSION = new URL(import.meta.url).search; // a browser may keep the files of another version
const HELP = "https://github.com/airflow-provider-segmind/airflow-provider-segmind/blob/main/docs/gallery.md#configuration";
const PAGE = 24;
const AGAIN_SECONDS = 10;
const KEPT_SECONDS = 7 * 86_400; // for which Segmind keeps a result
const STATES = {
  completed: "Completed", failed: "Failed", waiting: "Waiting", open: "Not fetched", unknown: "Perhaps ordered", rejected: "Not ordered",
};
const EVERYTHING = { dag_id: "", state: "", since: "", until: "" };

function dollars(cost) {
  if (cost == null) return null;
  const digits = cost > 0 && cost < 0.1 ? 4 : 2;
  return `$${cost.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

function duration(seconds) {
  if (seconds < 60) return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} days`;
}

function taskUrl(swap) {
  const part = encodeURIComponent;
  const mapped = swap.map_index >= 0 ? `/mapped/${swap.map_index}` : "";
  const path = `dags/${part(swap.dag_id)}/runs/${part(swap.run_id)}/tasks/${part(swap.task_id)}${mapped}`;
  return new URL(path, AIRFLOW).href;
}

const when = (seconds) => new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

const taskName = (swap) => (swap.map_index >= 0 ? `${swap.task_id} [${swap.map_index}]` : swap.task_id);

function query(path, values) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(values)) {
    if (value !== "" && value != null) url.searchParams.set(name, value);
  }
  return url.href;
}

// Why the server did not answer with what was asked for, as a sentence for people.
async function reasonOf(response, forbidden = "You may not read this DAG's XComs.") {
  const detail = await response.json().then((answer) => answer.detail, () => null);
  if (response.status === 401) return "You are not signed in.";
  if (response.status === 403 && detail === "Forbidden") return forbidden;
  return typeof detail === "string" ? detail : `Airflow answered with status ${response.status}.`;
}

// What the server said, for a URL: {said, error, again}. What is on the screen stays until the next answer is there.
function useAnswer(url) {
  const [answer, setAnswer] = useState({});
  const [turn, setTurn] = useState(0);
  const again = useCallback(() => setTurn((before) => before + 1), []);
  useEffect(() => {
    const control = new AbortController();
    fetch(url, { credentials: "same-origin", signal: control.signal, headers: { Accept: "application/json" } })
      .then(async (response) => {
        if (response.ok) return setAnswer({ url, said: await response.json() });
        return setAnswer({ url, error: await reasonOf(response) });
      })
      .catch((error) => {
        if (error.name !== "AbortError") setAnswer({ url, error: "Airflow cannot be reached." });
      });
    return () => control.abort();
  }, [url, turn]);
  return { ...answer, loading: answer.url !== url, again };
}

function useClock(running) {
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => setNow(Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}

function Picture({ url, alt, className, onGone }) {
  // A picture in view is loaded; of two thousand, the others wait.
  return h("img", { src: new URL(url, ROOT).href, alt, className, loading: "lazy", decoding: "async", draggable: false, onError: onGone });
}

// The result under the scene, which a slider uncovers; or what there is of the two.
function Stage({ swap, name, size = "small" }) {
  const [at, setAt] = useState(50);
  const [gone, setGone] = useState({});
  const source = (slot) => {
    const url = swap.pictures[slot] && (swap.pictures[slot][size] || swap.pictures[slot].full);
    return url && !gone[url] ? url : null;
  };
  const picture = (slot, className) => {
    const url = source(slot);
    return h(Picture, { key: slot, url, alt: `${name}: ${slot}`, className, onGone: () => setGone((others) => ({ ...others, [url]: true })) });
  };
  const mark = (side, words, seen = true) => h("span", { className: `sg-mark sg-${side}`, style: { opacity: seen ? 1 : 0 }, "aria-hidden": true }, words);
  if (swap.batch) {
    return h("div", { className: "sg-stage" }, h("div", { className: "sg-stack", "aria-hidden": true },
      [-1, 0, 1].map((n) => h("i", { key: n, style: { "--n": n } })), h("b", null, "Batch")));
  }
  if (source("before") && source("after")) {
    return h("div", { className: "sg-stage", style: { "--sg-at": `${at}%` } },
      picture("after"), picture("before", "sg-before"),
      mark("left", "Before", at > 22), mark("right", "After", at < 78),
      h("input", {
        type: "range", min: 0, max: 100, step: 1, value: at, "aria-label": `${name}: before and after`,
        "aria-valuetext": `${at} % before, ${100 - at} % after`, onChange: (event) => setAt(Number(event.target.value)),
      }),
      h("div", { className: "sg-bar", "aria-hidden": true }));
  }
  if (source("after")) return h("div", { className: "sg-stage" }, picture("after"), mark("right", "After"));
  const missing = swap.pictures.after
    && (swap.pictures.after.full ? "The result's file is gone, or Airflow may not read it." : "The result's folder is not shown here.");
  if (source("before")) {
    return h("div", { className: "sg-stage" }, picture("before", swap.state === "waiting" ? "sg-dim" : undefined), mark("left", "Before"),
      missing && h("p", { className: "sg-mark sg-right" }, missing));
  }
  return h("div", { className: "sg-stage" }, h("div", { className: "sg-none" },
    h("span", { "aria-hidden": true }, swap.state === "waiting" ? "◔" : "▢"), missing || "No picture"));
}

function StateMark({ swap, now }) {
  if (swap.state !== "waiting") {
    const unstored = swap.state === "completed" && !swap.batch && !swap.pictures.after && swap.request_id;
    const words = now - swap.at < KEPT_SECONDS ? "Done, not stored yet" : "Done, never stored";
    return h("span", { className: `sg-state sg-is-${swap.state}` }, unstored ? words : STATES[swap.state]);
  }
  const since = swap.submitted_at ?? swap.at;
  const waited = since == null ? "" : ` ${duration(Math.max(0, Math.floor(now - since)))}`;
  return h("span", { className: "sg-state sg-is-waiting sg-numbers" }, `Waiting${waited}`);
}

const nameOf = (swap) => swap.label || (swap.index == null ? taskName(swap) : `Swap ${swap.index + 1}`);

// What a card says below its picture: cost, time, task, DAG, date.
function factsOf(swap, here) {
  const maybe = swap.maybe > 0 && `${dollars(swap.maybe)} perhaps billed`;
  const free = swap.state === "rejected" ? "not billed" : swap.orders === 0 && swap.cost === 0 && "reused";
  const cost = swap.cost > 0 ? dollars(swap.cost) : !maybe && (free || dollars(swap.cost));
  const orders = swap.orders > 1 && !swap.batch && `${swap.orders} orders`;
  const first = [cost, maybe, orders, swap.seconds != null && duration(swap.seconds)];
  const second = swap.index == null ? [swap.label && taskName(swap), !here.dagId && swap.dag_id, when(swap.at)] : [];
  return [first, second].map((facts) => facts.filter(Boolean).join(" · "));
}

function Checks({ swap, name }) {
  if (swap.checks.length === 0) return null;
  const said = new Map(swap.checks.map((check) => [check.words || check.why, check.words ? `${check.name}: ${check.why}` : undefined]));
  return h("ul", { className: `sg-checks${swap.state === "open" || swap.state === "unknown" ? " sg-calm" : ""}`, "aria-label": `${name}: what is to know` },
    [...said].map(([words, title]) => h("li", { key: words, title }, words)));
}

// The pictures as large as the window, over everything else; Escape closes it, as of any dialog.
function Large({ swap, name, onClose }) {
  const dialog = useRef(null);
  useEffect(() => { dialog.current?.showModal(); }, []);
  const reference = swap.pictures.reference?.full;
  return h("dialog", { className: "sg-large", ref: dialog, "aria-label": name, onClose, onClick: (event) => event.target === dialog.current && onClose() },
    h("header", null, h("strong", null, name), h("button", { type: "button", className: "sg-button", autoFocus: true, onClick: onClose }, "Close")),
    h("div", { className: "sg-pair" }, h(Stage, { swap, name, size: "full" }),
      reference && h("figure", null, h(Picture, { url: reference, alt: `${name}: reference` }), h("figcaption", { className: "sg-quiet" }, "Reference"))),
    h(Checks, { swap, name }));
}

function Card({ swap, now, onOpen, open, here, pictures }) {
  const [large, setLarge] = useState(false);
  const name = nameOf(swap);
  const { reference } = swap.pictures;
  const thumb = pictures && reference && (reference.small || reference.full);
  const any = ["before", "reference", "after"].some((slot) => swap.pictures[slot]?.full);
  const [facts, place] = factsOf(swap, here);
  const full = `${name} · ${swap.dag_id} · ${swap.run_id} · ${taskName(swap)}`;
  const title = swap.index == null ? h("a", { href: taskUrl(swap), title: full, dir: "auto" }, name) : h("strong", { title: name, dir: "auto" }, name);
  return h("article", { className: "sg-card", "aria-label": name, "data-testid": "swap" },
    h("div", { className: "sg-top" }, (pictures || swap.batch) && h(Stage, { swap, name }), h(StateMark, { swap, now }),
      any && h("button", { type: "button", className: "sg-enlarge", "aria-label": `${name}: enlarge`, title: "Enlarge", onClick: () => setLarge(true) }, "⤢")),
    h("div", { className: "sg-foot" },
      thumb && h(Picture, { url: thumb, alt: `${name}: reference`, className: "sg-reference", onGone: (event) => { event.target.hidden = true; } }),
      h("div", { className: "sg-about" }, title, h("p", { className: "sg-numbers" }, facts || "\u00a0"), place && h("p", { title: place }, place))),
    h(Checks, { swap, name }),
    swap.batch && h("div", { className: "sg-open" }, swap.items
      ? h("button", { type: "button", className: "sg-button", onClick: onOpen, "aria-expanded": open }, open ? "Hide its swaps" : "Show its swaps")
      : h("p", { className: "sg-quiet" }, "The folder of its pictures is not shown here.")),
    large && h(Large, { swap, name, onClose: () => setLarge(false) }));
}

function Pages({ total, offset, count, more, onMove, what, words = ["Newer", "Older"] }) {
  if (total <= PAGE && offset === 0) return null;
  return h("nav", { className: "sg-pages", "aria-label": `Pages of ${what}` },
    h("button", { type: "button", className: "sg-button", disabled: offset === 0, onClick: () => onMove(Math.max(0, offset - PAGE)) }, words[0]),
    h("span", { className: "sg-quiet sg-numbers", role: "status" },
      `${(offset + 1).toLocaleString()}–${(offset + count).toLocaleString()} of ${total.toLocaleString()}${more ? "+" : ""}`),
    h("button", { type: "button", className: "sg-button", disabled: offset + count >= total, onClick: () => onMove(offset + PAGE) }, words[1]));
}

function Batch({ swap, now, onClose, here }) {
  const [offset, setOffset] = useState(0);
  const { said, error, again } = useAnswer(query(swap.items, { offset, limit: PAGE }));
  const name = swap.label || taskName(swap);
  return h("section", { className: "sg-batch", "aria-label": `Swaps of ${name}` },
    h("header", null, h("strong", null, name), said && h("span", { className: "sg-quiet" }, `${said.total.toLocaleString()} swaps`),
      h("button", { type: "button", className: "sg-button", onClick: onClose }, "Close")),
    error && h(Message, { title: "The batch cannot be shown", words: error, onAgain: again }),
    !said && !error && h(Ghosts),
    said && h("ul", { className: "sg-grid" }, said.swaps.map((each) => h("li", { key: each.index }, h(Card, { swap: each, now, here, pictures: true })))),
    said && h(Pages, { total: said.total, offset: said.offset, count: said.swaps.length, onMove: setOffset, what: name }));
}

function Message({ title, words, onAgain }) {
  return h("div", { className: "sg-message", role: onAgain ? "alert" : undefined },
    h("strong", null, title), words && h("span", null, words),
    onAgain && h("button", { type: "button", className: "sg-button", onClick: onAgain }, "Try again"));
}

function Ghosts() {
  return h("ul", { className: "sg-grid", "aria-label": "Loading", "aria-busy": true },
    [1, 2, 3, 4].map((n) => h("li", { key: n }, h("div", { className: "sg-ghost" }))));
}

function Sums({ said }) {
  const ended = said.completed + said.failed;
  const more = said.more ? "+" : "";
  const sums = [
    [`${(said.ordered || said.total - said.rejected).toLocaleString()}${more}`, said.ordered ? "ordered" : "shown"],
    [said.spent == null ? "unknown" : `${dollars(said.spent)}${more}`, "spent"],
    said.maybe > 0 && [dollars(said.maybe), "perhaps billed"],
    ended > 0 && [`${Math.floor((100 * said.completed) / ended)} %`, "succeeded"],
    said.waiting > 0 && [said.waiting.toLocaleString(), "waiting"],
    said.open > 0 && [said.open.toLocaleString(), "not fetched"],
    said.rejected > 0 && [said.rejected.toLocaleString(), "not ordered"],
  ].filter(Boolean);
  return h("dl", { className: "sg-sums sg-numbers" }, sums.map(([value, word]) => h("div", { key: word }, h("dt", null, word), h("dd", null, value))));
}

function Filters({ chosen, dags, onChoose }) {
  const change = (name) => (event) => onChoose({ ...chosen, [name]: event.target.value });
  const choice = (name, label, entries) => h("label", null, label,
    h("select", { "aria-label": label, value: chosen[name], onChange: change(name) },
      h("option", { value: "" }, "All"), entries.map(([value, words]) => h("option", { key: value, value }, words))));
  const day = (name, label) => h("label", null, label, h("input", { type: "date", "aria-label": label, value: chosen[name], onChange: change(name) }));
  const any = Object.values(chosen).some(Boolean);
  return h("form", { className: "sg-filters", role: "search", "aria-label": "Filter swaps", onSubmit: (event) => event.preventDefault() },
    dags && choice("dag_id", "DAG", dags.map((id) => [id, id])),
    choice("state", "State", Object.entries(STATES)),
    day("since", "From"), day("until", "Until"),
    h("button", { type: "button", className: "sg-button", disabled: !any, onClick: () => onChoose(EVERYTHING) }, "Clear"));
}

// A task that is a review shows that; any other its swaps. What is not opened is not loaded.
function BodySwaps(where) {
  const [review, setReview] = useState(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!where.taskId) return setReview({});
    const path = [where.dagId, where.runId, where.taskId, where.mapIndex ?? "-1"].map(encodeURIComponent).join("/");
    const url = new URL(`review/${path}`, ROOT).href;
    let gone = false;
    fetch(`${url}?limit=1`, { credentials: "same-origin" })
      .then(async (response) => {
        if (response.status === 204) return {};
        if (response.status !== 200) return { error: await reasonOf(response) };
        const { makeReview } = await import(new URL(`static/review.js${VERSION}`, ROOT).href);
        return { url, component: makeReview({ Large, Pages, Stage, Message, Ghosts, nameOf, reasonOf, Checks, AIRFLOW, PAGE }) };
      })
      .catch(() => ({ error: "Airflow cannot be reached." }))
      .then((found) => !gone && setReview(found));
    return () => { gone = true; };
  }, [where.dagId, where.runId, where.taskId, where.mapIndex, turn]);
  if (review?.error) {
    return h("div", { className: "segmind", "data-testid": "segmind-review" }, h(Style),
      h(Message, { title: "This cannot be shown", words: review.error, onAgain: () => setTurn(turn + 1) }));
  }
  if (!review) return h("div", { className: "segmind" }, h(Style), h(Ghosts));
  if (!review.url) return h(Swaps, where);
  return h("div", { className: "segmind", "data-testid": "segmind-review" }, h(Style), h(review.component, { url: review.url, ...where }));
}

const Style = () => h("link", { rel: "stylesheet", href: new URL(`static/gallery.css${VERSION}`, ROOT).href });

function Swaps({ dagId, runId, taskId, mapIndex }) {
  const page = !dagId;
  const one = Boolean(taskId);
  const [chosen, setChosen] = useState(EVERYTHING);
  const [offset, setOffset] = useState(0);
  const [opened, setOpened] = useState(null);
  const [dags, setDags] = useState([]);
  const top = useRef(null);
  const place = { run_id: runId, task_id: taskId, map_index: mapIndex };
  const { said, error, loading, again } = useAnswer(query("swaps", { ...chosen, dag_id: dagId ?? chosen.dag_id, ...place, offset, limit: PAGE }));
  const waiting = Boolean(said && said.swaps.some((swap) => swap.state === "waiting"));
  const now = useClock(waiting);
  useEffect(() => {
    if (said) setDags((before) => [...new Set([...before, ...said.dag_ids])].sort());
  }, [said]);
  useEffect(() => {
    if (!waiting) return undefined;
    const timer = setInterval(() => document.visibilityState === "visible" && again(), AGAIN_SECONDS * 1000);
    return () => clearInterval(timer);
  }, [waiting, again]);
  const choose = (next) => { setChosen(next); setOffset(0); setOpened(null); };
  const move = (next) => { setOffset(next); setOpened(null); top.current?.scrollIntoView({ block: "start" }); };
  const key = (swap) => [swap.dag_id, swap.run_id, swap.task_id, swap.map_index, swap.part].join("/");
  const filtered = Object.values(chosen).some(Boolean);
  const empty = filtered
    ? h(Message, { title: "No swap fits", words: "Choose other dates, another state or all DAGs." })
    : h(Message, { title: "No body swaps yet", words: one ? "This task has ordered, stored and checked none." : "They appear here as soon as a task orders or stores one." });
  const entries = (said?.swaps ?? []).flatMap((swap) => {
    const id = key(swap);
    const isOpen = opened === id;
    const toggle = () => setOpened(isOpen ? null : id);
    const card = h("li", { key: id }, h(Card, { swap, now, open: isOpen, onOpen: toggle, here: { dagId }, pictures: said.has_roots }));
    return isOpen ? [card, h("li", { key: `${id}/items`, className: "sg-wide" }, h(Batch, { swap, now, onClose: toggle, here: { dagId } }))] : [card];
  });
  return h("div", { className: `segmind${page ? " sg-page" : ""}${one ? " sg-one" : ""}`, "data-testid": "segmind-gallery", "aria-busy": loading, ref: top },
    h(Style),
    h("div", { className: "sg-head" },
      page && h("h1", null, "Body swaps"),
      page && said?.has_costs && h("a", { className: "sg-costs", href: new URL("costs", ROOT).href }, "Costs"),
      said && h(Sums, { said }),
      !one && h(Filters, { chosen, dags: page ? dags : null, onChoose: choose })),
    said && !said.has_roots && h("p", { className: "sg-hint" }, "Pictures are switched off. To see them here, your Airflow administrator names their folders in ",
      h("code", null, "[segmind] gallery_roots"), ": ", h("a", { href: HELP, target: "_blank", rel: "noopener" }, "how to"),
      ". A folder that is refused is in the log of the API server."),
    error && h(Message, { title: "The swaps cannot be shown", words: error, onAgain: again }),
    !said && !error && h(Ghosts),
    said && said.total === 0 && empty,
    said && said.total > 0 && h("ul", { className: "sg-grid" }, entries),
    said && said.total > 0 && h(Pages, { total: said.total, offset: said.offset, count: said.swaps.length, more: said.more, onMove: move, what: "swaps" }));
}

globalThis["Body swaps"] = BodySwaps;
