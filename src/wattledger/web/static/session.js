// What the charger did: power, state and running cost over one axis of time.
"use strict";

addEventListener("DOMContentLoaded", () => {
  const { css, narrow, data, money, tip, theme, axis } = WL;
  const d = data("power-data");
  if (!d) return;
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: d.zone });
  const hm = (t) => clock.format(new Date(t * 1000));
  let marks = [];

  function hatch(color) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 7;
    const pen = canvas.getContext("2d");
    pen.strokeStyle = color;
    pen.lineWidth = 1.2;
    for (const o of [-7, 0, 7]) { pen.beginPath(); pen.moveTo(o, 7); pen.lineTo(o + 7, 0); pen.stroke(); }
    return { image: canvas, repeat: "repeat" };
  }
  const LOOK = { charging: ["Charging", "m-kwh"], pause: ["Pause", "hatch"], grace: ["Grace", "sunk"], idle: ["Idle", "m-minute"] };
  const before = (points, t) => { let v = 0; for (const p of points) if (p[0] <= t) v = p[1]; return v; };
  const between = (points, t) => {
    for (let i = 1; i < points.length; i++) {
      const [a, b] = [points[i - 1], points[i]];
      if (t <= b[0]) return a[1] + Math.round(((b[1] - a[1]) * Math.max(t - a[0], 0)) / Math.max(b[0] - a[0], 1));
    }
    return points.length ? points[points.length - 1][1] : 0;
  };
  function ticks(x0, x1, most) {
    const step = [300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400].find((s) => (x1 - x0) / s <= most) || 172800;
    const found = [];
    for (let t = Math.ceil(x0 / step) * step; t < x1; t += step) found.push(t);
    return found;
  }
  function top(value) {
    const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return [1, 2, 4, 5, 8, 10].map((n) => n * unit).find((n) => n >= value) || 10 * unit;
  }

  WL.draw("power", (chart) => {
    const h = chart.getHeight(), small = narrow(), pad = Math.max(Math.round((d.end - d.start) / 60), 10);
    const x0 = d.start - pad, x1 = d.end + pad, left = 52, right = 16;
    const costs = d.cost.length > 0;
    const g1 = 18, h1 = costs ? h * 0.5 : h - 84, g2 = g1 + h1 + 10, h2 = 22, g3 = g2 + h2 + 40, h3 = Math.max(h - g3 - 26, 10);
    const scale = 10 ** new Intl.NumberFormat("en", { style: "currency", currency: d.currency }).resolvedOptions().maximumFractionDigits;
    const paint = (from, to, color, label) => [{ xAxis: from, itemStyle: { color: css(color) },
      label: { show: !!label, position: "insideTopLeft", color: css("ink-2"), fontSize: 12, formatter: label || "" } }, { xAxis: to }];
    const wide = (b) => !small && ((b.to - b.from) / (x1 - x0)) * (chart.getWidth() - left) > b.label.length * 6.6;
    const bands = d.bands.map((b) => paint(b.from, b.to, b.peak ? "band-peak" : "band-off", wide(b) ? b.label : ""));
    for (const [from, to] of marks) {
      bands.push([{ xAxis: from, itemStyle: { color: css("accent"), opacity: 0.22, borderColor: css("accent"), borderWidth: 1 } }, { xAxis: to }]);
    }
    const tick = ticks(x0, x1, small ? 4 : 8), last = costs ? 2 : 1;
    const x = (i) => axis({ type: "value", gridIndex: i, min: x0, max: x1, splitLine: { show: false },
      axisLine: { show: i !== 1, lineStyle: { color: css("ink-3") } },
      axisLabel: { show: i === last, color: css("ink-3"), fontSize: 12, formatter: hm, customValues: tick },
      axisTick: { show: i === last, customValues: tick } });
    const kw = top(Math.max(...d.power.map((p) => p[1])) / 1000);
    const most = top((Math.max(d.total || 0, d.hold || 0, 1) / scale) * 1.12);
    const grids = [{ left, right, top: g1, height: h1 }, { left, right, top: g2, height: h2 }];
    const xs = [x(0), x(1)], ys = [
      axis({ type: "value", gridIndex: 0, min: 0, max: kw, interval: kw / 4, axisLine: { show: false },
        axisLabel: { color: css("ink-3"), fontSize: 12, formatter: (v) => +v.toFixed(2) + (v === kw ? " kW" : "") } }),
      axis({ type: "value", gridIndex: 1, show: false, min: 0, max: 1 })];
    const series = [
      { type: "line", step: "end", symbol: "none", data: d.power.map(([t, w]) => [t, w / 1000]),
        lineStyle: { color: css("m-kwh"), width: 2 }, areaStyle: { color: css("m-kwh"), opacity: 0.2 },
        markArea: { silent: true, data: bands },
        markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: css("ink-3"), type: "dashed" },
          data: d.bands.slice(1).map((b) => ({ xAxis: b.from })) } },
      { type: "custom", xAxisIndex: 1, yAxisIndex: 1, silent: true, tooltip: { show: false }, data: d.states, encode: { x: [0, 1] },
        renderItem: (p, api) => {
          const [from, to, state] = d.states[p.dataIndex], [word, look] = LOOK[state];
          const a = api.coord([from, 1]), b = api.coord([to, 0]), w = Math.max(b[0] - a[0] - 2, 1), hh = b[1] - a[1], solid = look[0] === "m";
          const rect = { type: "rect", shape: { x: a[0] + 1, y: a[1], width: w, height: hh, r: 2 },
            style: { fill: look === "hatch" ? hatch(css("ink-3")) : css(look), stroke: solid ? "none" : css("ink-3"), lineWidth: 1 } };
          const text = { type: "text", style: { x: a[0] + 1 + w / 2, y: a[1] + hh / 2, text: word, align: "center", verticalAlign: "middle",
            fontSize: 12, fontWeight: 600, fontFamily: css("font"), fill: solid ? css("paper") : css("ink"),
            backgroundColor: look === "hatch" ? css("paper") : "none", padding: look === "hatch" ? [1, 4] : 0 } };
          return { type: "group", children: w > word.length * 7 + 8 ? [rect, text] : [rect] };
        } }];
    if (costs) {
      grids.push({ left, right, top: g3, height: h3 });
      xs.push(x(2));
      ys.push(axis({ type: "value", gridIndex: 2, min: 0, max: most, interval: most / 4, splitLine: { show: false }, axisLine: { show: false },
        axisLabel: { color: css("ink-3"), fontSize: 12, showMaxLabel: false, formatter: (v) => d.sign + +v.toFixed(2) } }));
      series.push({ type: "line", xAxisIndex: 2, yAxisIndex: 2, symbol: "none", data: d.cost.map(([t, c]) => [t, c / scale]),
        lineStyle: { color: css("ink"), width: 1.75 }, areaStyle: { color: css("ink"), opacity: 0.06 },
        markLine: d.hold ? { silent: true, symbol: "none", lineStyle: { color: css("warn"), type: "dashed", width: 1.5 },
          label: { position: "insideStartTop", color: css("warn"), fontSize: 12, fontWeight: 600, formatter: "Hold " + d.holdText }, data: [{ yAxis: d.hold / scale }] } : undefined,
        markPoint: { silent: true, symbol: "circle", symbolSize: 9, itemStyle: { color: css("gold"), borderColor: css("paper"), borderWidth: 2 },
          label: { position: "left", distance: 8, offset: [0, -12], color: css("ink"), fontWeight: 600, textBorderColor: css("paper"), textBorderWidth: 3,
            formatter: (d.captured ? "Captured " : "Charged ") + d.totalText }, data: [{ coord: [d.cost[d.cost.length - 1][0], d.total / scale] }] } });
    }
    chart.setOption({
      ...theme(), grid: grids, xAxis: xs, yAxis: ys, series,
      axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: css("ink-3") } },
      tooltip: { ...theme().tooltip, trigger: "axis", formatter: (p) => {
        const t = p[0].axisValue, rows = [["power", (before(d.power, t) / 1000).toFixed(1) + " kW"]];
        if (costs) rows.push(["running cost", money(between(d.cost, t), d.currency)]);
        return tip(hm(t), rows);
      } },
      graphic: costs ? [{ type: "text", left: 8, top: g3 - 24, style: { fill: css("ink-2"), fontSize: 12, fontFamily: css("font"),
        text: d.hold ? "Running cost incl. tax, and the hold it must stay under" : "Running cost incl. tax" } }] : [],
    }, true);
  });

  // What is pointed at comes before what has the focus, and that before what is pressed.
  const marked = document.getElementById("marked");
  const chosen = { pointed: null, focused: null, pressed: null };
  let shown = null;
  const refresh = () => {
    const row = chosen.pointed || chosen.focused || chosen.pressed;
    if (row === shown) return;
    if (shown) shown.classList.remove("on");
    if (row) row.classList.add("on");
    shown = row;
    marks = row ? JSON.parse(row.dataset.ranges) : [];
    document.getElementById("power").dataset.marked = JSON.stringify(marks);
    WL.redraw();
  };
  document.querySelectorAll("tr[data-ranges]").forEach((row) => {
    const button = row.querySelector(".mark-time");
    if (!button) return;
    const set = (kind, value) => {
      if (value || chosen[kind] === row) chosen[kind] = value;
      refresh();
    };
    row.addEventListener("mouseenter", () => set("pointed", row));
    row.addEventListener("mouseleave", () => set("pointed", null));
    row.addEventListener("focusin", () => set("focused", row));
    row.addEventListener("focusout", () => set("focused", null));
    button.addEventListener("click", () => {
      const on = chosen.pressed !== row;
      if (chosen.pressed) chosen.pressed.querySelector(".mark-time").setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(on));
      chosen.pressed = on ? row : null;
      refresh();
      const times = JSON.parse(row.dataset.ranges).map(([from, to]) => hm(from) + "–" + hm(to)).join(", ");
      marked.textContent = on ? button.textContent + ": " + times + " is marked in the chart." : "";
    });
  });
});
