// One review of many pictures: keep, reject or order again, each verdict saved as it is given, others' seen as they come.

const { createElement: h, useCallback, useEffect, useRef, useState } = globalThis.React;

const VERDICTS = { keep: "Keep", reject: "Reject", again: "Again" };
const KEYS = { k: "keep", r: "reject", a: "again" };
const LOOK_SECONDS = 5;
const STOPPED = ["failed", "up_for_retry", "skipped", "removed"];

export function makeReview({ Large, Pages, Stage, Message, Ghosts, nameOf, reasonOf, Checks, AIRFLOW, PAGE }) {
  function Choice({ swap, open, onDecide }) {
    const name = nameOf(swap);
    const chosen = swap.decided?.[0] ?? swap.default;
    return h("fieldset", { className: "sg-verdict", disabled: !open },
      h("legend", { className: "sg-hidden" }, `Verdict on ${name}`),
      Object.entries(VERDICTS).map(([verdict, word]) => h("label", { key: verdict, className: `sg-v-${verdict}`, "data-chosen": chosen === verdict },
        h("input", {
          type: "radio", name: `verdict-${swap.index}`, value: verdict, checked: chosen === verdict,
          onChange: () => onDecide(verdict), onClick: () => !swap.decided && chosen === verdict && onDecide(verdict),
        }), word)));
  }

  function Picture({ swap, open, onDecide }) {
    const [large, setLarge] = useState(false);
    const name = nameOf(swap);
    const keys = (event) => {
      const verdict = !event.ctrlKey && !event.metaKey && !event.altKey && KEYS[event.key.toLowerCase()];
      if (verdict && open) { event.preventDefault(); onDecide(verdict); }
    };
    const by = swap.decided ? `by ${swap.decided[1]}` : swap.default === "reject" ? "suggested by the checks" : "not looked at yet";
    return h("article", { className: "sg-card", "aria-label": name, "data-testid": "reviewed", "data-decided": Boolean(swap.decided), onKeyDown: keys },
      h("div", { className: "sg-top" }, h(Stage, { swap, name }),
        h("button", { type: "button", className: "sg-enlarge", "aria-label": `${name}: enlarge`, title: "Enlarge", onClick: () => setLarge(true) }, "⤢")),
      h("div", { className: "sg-foot" }, h("div", { className: "sg-about" }, h("strong", { title: name, dir: "auto" }, name), h("p", null, by))),
      h(Checks, { swap, name }),
      h(Choice, { swap, open, onDecide }),
      large && h(Large, { swap, name, onClose: () => setLarge(false) }));
  }

  return function Review({ url, dagId, runId, taskId, mapIndex }) {
    const [offset, setOffset] = useState(0);
    const [said, setSaid] = useState(null);
    const [error, setError] = useState(null); // what was refused
    const [lost, setLost] = useState(null); // why what is shown may be old
    const [finished, setFinished] = useState(false);
    const top = useRef(null);
    const load = useCallback(() => fetch(`${url}?offset=${offset}&limit=${PAGE}`, { credentials: "same-origin" })
      .then(async (response) => {
        if (!response.ok) return setLost(await reasonOf(response));
        const next = await response.json();
        setLost(null);
        if (next.offset === offset) setSaid(next);
      })
      .catch(() => setLost("Airflow cannot be reached.")), [url, offset]);
    useEffect(() => {
      load();
      const timer = setInterval(() => document.visibilityState === "visible" && load(), LOOK_SECONDS * 1000);
      return () => clearInterval(timer);
    }, [load]);

    // What is refused is said, and what the server has is shown again: no verdict seems saved that is not.
    const send = async (address, method, body) => {
      try {
        const response = await fetch(address, {
          method, credentials: "same-origin", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
        });
        if (response.ok) { setError(null); return await response.json(); }
        setError(await reasonOf(response, "You may look, but not decide: that needs the right to change the DAG's human input."));
      } catch {
        setError("Airflow cannot be reached: the verdict is not saved.");
      }
      load();
      return null;
    };
    const decide = async (verdict, items) => {
      const answer = await send(url, "PUT", { verdict, items });
      if (!answer) return;
      setSaid((before) => before && { ...before, swaps: before.swaps.map((swap) => ({ ...swap, decided: answer.decided[swap.index] ?? swap.decided })) });
      load();
    };
    const finish = async () => {
      const part = encodeURIComponent;
      const index = /^\d+$/.test(mapIndex ?? "") ? mapIndex : -1;
      const path = `api/v2/dags/${part(dagId)}/dagRuns/${part(runId)}/taskInstances/${part(taskId)}/${index}/hitlDetails`;
      const answer = await send(new URL(path, AIRFLOW).href, "PATCH", { chosen_options: ["Finish the review"], params_input: {} });
      if (answer) { setFinished(true); load(); }
    };

    if (!said) return lost ? h(Message, { title: "The review cannot be shown", words: lost, onAgain: load }) : h(Ghosts);
    const open = said.open && !finished;
    const decided = Object.values(said.decided).reduce((sum, count) => sum + count, 0);
    const undecided = said.swaps.filter((swap) => !swap.decided);
    const confirm = undecided.length > 0 && h("button", { type: "button", className: "sg-button", disabled: !open, onClick: () => {
      for (const verdict of Object.keys(VERDICTS)) {
        const items = undecided.filter((swap) => swap.default === verdict).map((swap) => swap.index);
        if (items.length) decide(verdict, items);
      }
    } }, "Agree on this page");
    return h("div", { ref: top, "data-shown": said.offset },
      h("div", { className: "sg-head" },
        h("dl", { className: "sg-sums sg-numbers" },
          [["pictures", said.total], ["decided", decided], ...Object.entries(VERDICTS).map(([key, word]) => [word.toLowerCase(), said.decided[key] ?? 0])]
            .map(([word, count]) => h("div", { key: word }, h("dt", null, word), h("dd", null, count.toLocaleString())))),
        h("div", { className: "sg-actions" }, confirm,
          h("button", { type: "button", className: "sg-button sg-main", disabled: !open, onClick: finish }, open ? "Finish the review" : STOPPED.includes(said.state) ? "Not asked now" : "Finished"))),
      h("p", { className: "sg-hint" }, open
        ? "Each verdict is saved at once; others may review with you. Keys: K keep, R reject, A order again, for the picture that has the focus. What nobody decides stays as suggested."
        : STOPPED.includes(said.state) ? `Nobody is asked now: this task is ${said.state.replaceAll("_", " ")}. Its next attempt asks again.`
        : "This review is finished: its verdicts stand."),
      (error || lost) && h("p", { className: "sg-hint sg-alert", role: "alert" }, error || lost),
      h("ul", { className: "sg-grid" }, said.swaps.map((swap) => h("li", { key: swap.index },
        h(Picture, { swap, open, onDecide: (verdict) => decide(verdict, [swap.index]) })))),
      h(Pages, {
        total: said.total, offset: said.offset, count: said.swaps.length, what: "pictures", words: ["Back", "Next"],
        onMove: (next) => { setOffset(next); top.current?.scrollIntoView({ block: "start" }); },
      }));
  };
}
