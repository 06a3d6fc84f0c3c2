"use strict";
// Shows an episode as the server tells it, and sends turns. Texts become text nodes, never markup.
(() => {
  const byId = id => document.getElementById(id);
  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
  async function ask(path, sent) {
    const answer = await fetch(path, sent && {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(sent)});
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    return told;
  }
  async function send(sent) {
    byId("error").textContent = "";
    const before = document.activeElement;
    for (const button of document.querySelectorAll("button")) button.disabled = true;
    try {
      show(await ask(sent ? "" : "state", sent));
      return true;
    } catch (error) {
      byId("error").textContent = error.message;
      return false;
    } finally {
      for (const button of document.querySelectorAll("button")) button.disabled = false;
      stay(before);
    }
  }
  // A disabled button loses the focus: it gets it back, or what can be done next has it.
  function stay(before) {
    if (before === document.body || document.activeElement !== document.body) return;
    const next = byId("controls").hidden ? byId("new") : byId("answer").elements.text;
    (before.checkVisibility() ? before : next).focus();
  }

  function show(state) {
    byId("question").textContent = state.question;
    byId("cost").textContent = state.tokens + " visual tokens so far; the original once: " + state.full;
    byId("said").textContent = state.turns.length && !state.done ? state.said : "";
    byId("views").replaceChildren(...state.views.map((view, i) => figure(state, view, i)));
    byId("turns").replaceChildren(...state.turns.map(([thought, does, text]) => element("div", {class: "turn"},
      element("p", {class: does === "malformed" ? "bad" : "says", dir: "auto"}, does + " " + text),
      element("p", {class: "quiet", dir: "auto"}, thought))));
    byId("controls").hidden = state.done;
    byId("look").hidden = !state.look;
    byId("box").hidden = !state.box;
    const lines = [state.accepted && "accepted: " + state.accepted, state.reward, ...state.flaws.map(flaw => "format: " + flaw)];
    byId("verdict").replaceChildren(...(state.verdict ? [element("p", {class: state.verdict[0] === "correct" ? "good" : "bad"}, state.verdict[1]),
      ...lines.filter(Boolean).map(text => element("p", {dir: "auto"}, text))] : []));
  }
  function figure(state, view, i) {
    const image = element("img", {src: "picture/" + i + "?" + state.episode, alt: "view " + (i + 1), draggable: "false"});
    const boxes = state.views.flatMap((other, j) => other.of && other.of[0] === i ? [edges(other.of.slice(1, 5), j + 1)] : []);
    const frame = element("span", {class: "boxed"}, image, ...boxes);
    if (i === 0 && state.box) drawn(frame);
    return element("figure", {class: view.of ? "part" : ""}, frame, element("figcaption", {}, "view " + (i + 1) + ": " +
      view.size[0] + " × " + view.size[1] + ", " + view.tokens + " tokens" + (view.of ? ", of " + view.of[5] : "")));
  }
  function edges(ends, name) {
    const box = element("span", {class: "edges"}, element("span", {}, String(name)));
    ["left", "top", "width", "height"].forEach((side, i) => { box.style[side] = 100 * ends[i] + "%"; });
    return box;
  }
  // A box is drawn from where a pointer goes down to where it goes up.
  function drawn(frame) {
    let start, box;
    const at = event => {
      const area = frame.getBoundingClientRect(), share = (x, low, size) => Math.min(1, Math.max(0, (x - low) / size));
      return [share(event.clientX, area.left, area.width), share(event.clientY, area.top, area.height)];
    };
    const mark = ([x, y]) => {
      const sides = [Math.min(x, start[0]), Math.min(y, start[1]), Math.max(x, start[0]), Math.max(y, start[1])];
      box?.remove();
      frame.append(box = edges([sides[0], sides[1], sides[2] - sides[0], sides[3] - sides[1]], "?"));
      ["left", "top", "right", "bottom"].forEach((side, i) => { byId("box").elements[side].value = (100 * sides[i]).toFixed(1); });
    };
    frame.classList.add("drawable");
    frame.onpointerdown = event => { start = at(event); frame.setPointerCapture(event.pointerId); event.preventDefault(); };
    frame.onpointermove = event => { if (start) mark(at(event)); };
    frame.onpointerup = event => { if (start) mark(at(event)); start = undefined; };
  }

  const submits = (id, make) => {
    byId(id).onsubmit = async event => {
      event.preventDefault();
      const form = event.target;
      if (await send(await make(form.elements))) form.reset();
    };
  };
  submits("answer", fields => ({do: "answer", text: fields.text.value}));
  submits("turn", fields => ({do: "turn", text: fields.text.value}));
  submits("box", fields => ({do: "box", box: ["left", "top", "right", "bottom"].map(side => fields[side].value / 100)}));
  submits("mine", async fields => {
    const bytes = new Uint8Array(await fields.picture.files[0].arrayBuffer());
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return {do: "new", picture: btoa(text), question: fields.question.value, answers: fields.answers.value};
  });
  for (const name of ["look", "agent", "new"]) if (byId(name)) byId(name).onclick = () => send({do: name});
  send().then(() => performance.mark("ready"));
})();
