/* global uPlot */
// Makes the page live: fetches it again and takes over what has changed; draws the last hour; sends orders.
(() => {
  const REFRESH_MS = 2000;
  const ANSWER_MS = 3000;
  const SILENT_AFTER_MS = 4000;
  /** What the manager keeps. */
  const HISTORY_STEPS = 360;
  const live = () => document.getElementById('live');

  // ---- taking over what has changed ----

  /** Makes `old` look like `fresh`, touching only what differs: a selection, a tooltip or a drawing stays. */
  function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (old.hasAttribute('data-keep')) return;
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const name of old.getAttributeNames()) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    if (old.tagName === 'TBODY') byId(old, fresh);
    else byPlace(old, fresh);
  }

  function byPlace(old, fresh) {
    const wanted = [...fresh.childNodes];
    wanted.forEach((node, index) => {
      const mine = old.childNodes[index];
      if (mine === undefined) old.append(node);
      else if (mine.nodeName !== node.nodeName || mine.className !== node.className) mine.replaceWith(node);
      else morph(mine, node);
    });
    while (old.childNodes.length > wanted.length) old.lastChild.remove();
  }

  /** Rows move when their order changes, and keep what is drawn in them. */
  function byId(old, fresh) {
    const mine = new Map([...old.rows].map((row) => [row.id, row]));
    [...fresh.rows].forEach((row, index) => {
      const known = mine.get(row.id);
      mine.delete(row.id);
      if (known !== undefined) morph(known, row);
      const wanted = known ?? row;
      if (old.rows[index] !== wanted) old.insertBefore(wanted, old.rows[index] ?? null);
    });
    for (const row of mine.values()) row.remove();
  }

  // ---- asking the manager ----

  let heardAt = performance.now();
  let asking = false;
  // A page in the background is seldom let ask: not having asked is no silence of the manager.
  let failed = false;

  async function refresh() {
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch('.', { signal: AbortSignal.timeout(ANSWER_MS), cache: 'no-store' });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      morph(live(), fresh.getElementById('live'));
      document.title = fresh.title;
      heardAt = performance.now();
      failed = false;
      await plots.refresh();
    } catch {
      failed = true;
    } finally {
      asking = false;
      showSilence();
    }
  }

  function showSilence() {
    const silentMs = performance.now() - heardAt;
    const banner = document.getElementById('silent');
    const isSilent = failed && silentMs > SILENT_AFTER_MS;
    document.body.classList.toggle('is-silent', isSilent);
    banner.hidden = !isSilent;
    if (!isSilent) return;
    const { time, site } = live().dataset;
    const seconds = Math.round(silentMs / 1000);
    const since = seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
    banner.textContent = '';
    const big = document.createElement('b');
    big.textContent = `THIS MANAGER HAS NOT ANSWERED FOR ${since}`;
    const small = document.createElement('span');
    small.textContent = `What stands below is from ${time} UTC and may be wrong by now. Open the page of another manager of ${site}; on this server: does the manager run, what is the end of its log?`;
    banner.append(big, small);
    document.title = `(!) ${site} no answer`;
  }

  // ---- the last hour ----

  class Plots {
    #history = { next: 0, times: [], relays: {} };
    #plots = new Map();
    #series = 'sessions';
    #askedAt = -Infinity;

    async refresh() {
      const { stepMs } = this.#history;
      if (stepMs === undefined || performance.now() - this.#askedAt >= Math.max(stepMs, REFRESH_MS)) await this.#fetch();
      this.draw();
    }

    choose(series) {
      this.#series = series;
      for (const button of document.querySelectorAll('[data-series]')) button.setAttribute('aria-pressed', String(button.dataset.series === series));
      this.draw();
    }

    /** In other colours. */
    redraw() {
      for (const { plot } of this.#plots.values()) plot.destroy();
      this.#plots.clear();
      this.draw();
    }

    async #fetch() {
      const answer = await fetch(`history.json?from=${this.#history.next}`, { signal: AbortSignal.timeout(ANSWER_MS), cache: 'no-store' });
      if (!answer.ok) return;
      this.#askedAt = performance.now();
      this.#take(await answer.json());
    }

    #take(part) {
      // A manager that was restarted counts from the beginning again.
      const goesOn = part.first === this.#history.next && this.#history.next > 0;
      const join = (before, more) => [...(goesOn ? before ?? [] : []), ...more].slice(-HISTORY_STEPS);
      const count = part.next - part.first;
      const times = Array.from({ length: count }, (_, index) => (part.at - (count - 1 - index) * part.stepMs) / 1000);
      const relays = {};
      for (const [name, series] of Object.entries(part.relays)) {
        relays[name] = {};
        for (const key of ['states', 'sessions', 'load', 'bytesPerSecond']) relays[name][key] = join(this.#history.relays[name]?.[key], series[key]);
      }
      this.#history = { next: part.next, stepMs: part.stepMs, times: join(this.#history.times, times), relays };
    }

    draw() {
      for (const box of document.querySelectorAll('.spark')) {
        const of = this.#history.relays[box.dataset.relay];
        if (of !== undefined && of[this.#series].length > 1) this.#drawOne(box, of);
      }
    }

    #drawOne(box, of) {
      let entry = this.#plots.get(box.dataset.relay);
      if (entry === undefined || !box.contains(entry.plot.root)) {
        box.textContent = '';
        entry = { of, plot: this.#make(box) };
        this.#plots.set(box.dataset.relay, entry);
      }
      entry.of = of;
      entry.plot.setData([this.#history.times, of[this.#series]]);
    }

    #make(box) {
      const label = document.createElement('span');
      label.className = 'at';
      const colours = getComputedStyle(box);
      const relay = box.dataset.relay;
      const bands = (plot) => this.#bands(plot, this.#history.relays[relay].states);
      const plot = new uPlot(
        {
          width: box.clientWidth,
          height: box.clientHeight,
          padding: [2, 1, 1, 1],
          legend: { show: false },
          axes: [{ show: false }, { show: false }],
          scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, this.#top(high)] } },
          series: [{}, { stroke: colours.color, width: 1.4, points: { show: false }, fill: colours.backgroundColor }],
          cursor: { y: false, x: true, points: { size: 5 }, drag: { setScale: false, x: false, y: false }, sync: { key: 'hour' } },
          hooks: { drawClear: [bands], setCursor: [(one) => this.#say(one, label)] },
        },
        [[], []],
        box,
      );
      box.append(label);
      new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box);
      return plot;
    }

    /** Room above the highest value; of the load, whose limit is 1, always up to the limit. */
    #top(high) {
      return Math.max(1, (high ?? 0) * 1.08);
    }

    /** Where the relay was not up, a band in the colour of its state. */
    #bands(plot, states) {
      const { ctx, bbox } = plot;
      const half = (this.#history.stepMs ?? 0) / 2000;
      // uPlot believes that nobody else changes the colours of its canvas.
      ctx.save();
      const edge = (time) => Math.round(Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(time, 'x', true))));
      for (let first = 0, index = 1; index <= states.length; index += 1) {
        if (states[index] === states[first]) continue;
        if (states[first] !== 'up') {
          const from = edge(this.#history.times[first] - half);
          ctx.fillStyle = bandColour(states[first]);
          ctx.fillRect(from, bbox.top, Math.max(2, edge(this.#history.times[index - 1] + half) - from), bbox.height);
        }
        first = index;
      }
      ctx.restore();
    }

    #say(plot, label) {
      const { idx } = plot.cursor;
      const value = idx === null || idx === undefined ? undefined : plot.data[1][idx];
      label.textContent = idx === null || idx === undefined ? '' : `${new Date(plot.data[0][idx] * 1000).toISOString().slice(11, 16)}  ${this.#figure(value)}`;
    }

    #figure(value) {
      if (value === null || value === undefined) return 'not heard';
      if (this.#series === 'load') return `${Math.round(value * 100)} %`;
      if (this.#series === 'sessions') return String(value);
      const power = Math.min(3, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
      return `${(value / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${['B/s', 'kB/s', 'MB/s', 'GB/s'][power]}`;
    }
  }

  const bandColours = new Map();

  function bandColour(state) {
    const known = bandColours.get(state);
    if (known !== undefined) return known;
    const probe = document.createElement('span');
    probe.className = `band ${state}`;
    document.body.append(probe);
    const colour = getComputedStyle(probe).backgroundColor;
    probe.remove();
    bandColours.set(state, colour);
    return colour;
  }

  const plots = new Plots();

  // ---- orders ----

  async function post(path, body) {
    const answer = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-sekisho-page': '1' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    }).catch(() => undefined);
    if (answer === undefined) return { ok: false, error: 'SILENT', message: 'The manager does not answer. Whether it was done stands in the table when it answers again.' };
    const result = await answer.json().catch(() => ({ message: `HTTP ${answer.status}` }));
    return { ok: answer.ok, ...result };
  }

  let saidTimer;

  function say(text) {
    const said = document.getElementById('said');
    said.textContent = text;
    said.hidden = false;
    clearTimeout(saidTimer);
    saidTimer = setTimeout(() => (said.hidden = true), 8000);
  }

  /** What each dialog is to do when it is sent. */
  const works = new Map();

  /** Shows a dialog until what it asks for is done, or given up. @param work returns why not, or undefined */
  function ask(dialog, work) {
    works.set(dialog, work);
    dialog.querySelector('form').reset();
    dialog.querySelector('.refusal').hidden = true;
    dialog.showModal();
  }

  async function send(dialog) {
    const refusal = dialog.querySelector('.refusal');
    const why = await works.get(dialog)(dialog.querySelector('form'));
    refusal.textContent = why ?? '';
    refusal.hidden = why === undefined;
    if (why === undefined) dialog.close();
  }

  for (const dialog of document.querySelectorAll('dialog')) {
    dialog.addEventListener('submit', (event) => {
      if (event.submitter?.value === 'cancel') return;
      event.preventDefault();
      void send(dialog);
    });
  }

  function signIn() {
    ask(document.getElementById('sign-in'), async (form) => {
      const { ok, message } = await post('sign-in', { token: form.token.value.trim() });
      form.token.value = '';
      if (!ok) return message;
      say('Signed in for eight hours.');
      await refresh();
      return undefined;
    });
  }

  const WHAT = {
    drain: 'It gets no new sessions and its agents are moved to other relays. Conversations finish. It lasts until undrain, across restarts.',
    undrain: 'It takes new sessions again, slowly at first.',
    weight: 'More or less of the load, at once and across restarts. 0 is like drain.',
  };

  function order(kind, relay) {
    const { site } = live().dataset;
    const dialog = document.getElementById('order');
    const [title, confirm, weight] = ['h2', '.confirm', '.weight'].map((part) => dialog.querySelector(part));
    title.textContent = `${kind} ${relay} of ${site}`;
    dialog.querySelector('.what').textContent = WHAT[kind];
    dialog.querySelector('.go').textContent = `${kind} ${relay}`;
    confirm.hidden = true;
    weight.hidden = kind !== 'weight';
    ask(dialog, async (form) => {
      const body = { site, relay };
      if (kind === 'weight') body.weight = form.weight.value === '' ? null : Number(form.weight.value);
      if (!confirm.hidden) body.confirm = form.confirm.value.trim();
      const { ok, error, message } = await post(`table/${kind}`, body);
      // The last relay goes only when somebody knows which site he is at.
      if (error === 'LAST_RELAY') {
        confirm.hidden = false;
        form.confirm.focus();
        return `${relay} is the last relay of ${site} that is up. Without it agents go to other sites, or directly, past the scanners.`;
      }
      if (!ok) return message;
      say(`Done: ${title.textContent}.`);
      await refresh();
      return undefined;
    });
  }

  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('button');
    if (button === null || button === undefined) return;
    const { do: act, relay, series } = button.dataset;
    if (series !== undefined) plots.choose(series);
    else if (act === 'sign-in') signIn();
    else if (act === 'sign-out') void post('sign-out', {}).then(refresh);
    else if (relay !== undefined) order(act, relay);
  });

  const redraw = () => {
    bandColours.clear();
    plots.redraw();
  };
  document.addEventListener('themed', redraw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  document.addEventListener('visibilitychange', () => void refresh());
  setInterval(() => void refresh(), REFRESH_MS);
  setInterval(showSilence, 500);
  void refresh();
})();
