// The curve of the day and the flow of the money.
"use strict";

addEventListener("DOMContentLoaded", () => {
  const { css, narrow, data, money, tip, theme, axis } = WL;
  const hm = (m) => String(Math.floor(m / 60)).padStart(2, "0") + ":" + String(m % 60).padStart(2, "0");

  const through = (chart) => {
    const d = data("cum-data");
    if (!d) return;
    const last = d.today[d.today.length - 1];
    const line = (points) => (points.length ? [[Math.max(points[0][0] - 5, 0), 0], ...points] : []);
    const series = [
      { name: "A week earlier", type: "line", step: "end", data: line(d.week), symbol: "none",
        lineStyle: { color: css("m-neutral"), width: 1.5, type: "dashed" }, itemStyle: { color: css("m-neutral") } },
      { name: d.name, type: "line", step: "end", data: line(d.today), symbol: "none",
        lineStyle: { color: css("m-kwh"), width: 2.25 }, itemStyle: { color: css("m-kwh") },
        areaStyle: { color: css("m-kwh"), opacity: 0.09 },
        markPoint: last ? { symbol: "circle", symbolSize: 10, silent: true, data: [{ coord: last }],
          itemStyle: { color: css("gold"), borderColor: css("paper"), borderWidth: 2 },
          label: { show: true, position: last[0] > 240 ? "left" : "right", distance: 8, offset: [0, -10], color: css("ink"), fontWeight: 600,
            textBorderColor: css("paper"), textBorderWidth: 3, formatter: money(last[1], d.currency) } } : undefined },
    ].filter((one) => one.data.length);
    chart.setOption({
      ...theme(),
      grid: { left: narrow() ? 56 : 62, right: 24, top: 18, bottom: 26 },
      tooltip: { ...theme().tooltip, trigger: "axis",
        formatter: (p) => tip(hm(p[0].value[0]), p.map((x) => [x.seriesName, money(x.value[1], d.currency)])) },
      xAxis: axis({ type: "value", min: 0, max: 1440, interval: narrow() ? 360 : 240, splitLine: { show: false },
        axisLabel: { color: css("ink-3"), fontSize: 12, formatter: hm } }),
      yAxis: axis({ type: "value", min: 0, splitNumber: 4, axisLine: { show: false }, minInterval: 100,
        axisLabel: { color: css("ink-3"), fontSize: 12, formatter: (v) => money(v, d.currency, true) } }),
      series,
    }, true);
  };

  const flow = (chart) => {
    const d = data("flow-data");
    if (!d || !d.links.length) { chart.clear(); return; }
    const height = chart.getHeight();
    const kind = Object.fromEntries(d.nodes.map((n) => [n.key, n]));
    // What is too thin for its label has it in the gap above, beside no link; the last column's
    // labels stand in a margin of their own.
    const perPixel = d.total / (height * 0.55);
    const nodes = d.nodes.map((n) => {
      const thin = n.value / perPixel < 40;
      const position = n.depth === 3 ? "right" : thin ? "top" : "right";
      return { name: n.key, depth: n.depth, value: n.value, itemStyle: { color: css(n.token), borderWidth: 0 },
        label: { position, align: "left", distance: 6, offset: position === "top" ? [-5, 2] : [0, 0],
          ...(position === "top" ? { backgroundColor: css("paper"), padding: [0, 3, 0, 0] } : {}),
          formatter: (thin && n.depth < 3 ? "{n|" + n.name + "} {v|" + n.text + "}" : "{n|" + n.name + "}\n" + (n.energy ? "{v|" + n.energy + "}\n" : "") + "{v|" + n.text + "}") } };
    });
    const bad = new Set(["debt", "owed", "none"]);
    const halo = { textBorderColor: css("paper"), textBorderWidth: 2 };
    chart.setOption({
      ...theme(),
      tooltip: { ...theme().tooltip, formatter: (p) => p.dataType === "edge"
        ? tip(kind[p.data.source].name + " → " + kind[p.data.target].name, [["", money(p.data.value, d.currency)]])
        : tip(kind[p.name].name, [["", kind[p.name].text]]) },
      series: [{ type: "sankey", left: 0, right: 158, top: 20, bottom: 24, nodeWidth: 9, nodeGap: 30, nodeAlign: "left",
        layoutIterations: 0, draggable: false, emphasis: { focus: "adjacency" }, data: nodes,
        links: d.links.map(([source, target, value]) => ({ source, target, value, lineStyle: {
          color: source === "energy" || bad.has(target) ? css(kind[target].token) : "source",
          opacity: bad.has(target) ? 0.6 : source === "energy" ? 0.16 : 0.24 } })),
        lineStyle: { curveness: 0.5 },
        label: { color: css("ink"), fontSize: 12, lineHeight: 16, ...halo,
          rich: { n: { fontWeight: 600, color: css("ink"), fontSize: 12.5, ...halo }, v: { color: css("ink-2"), fontSize: 12, ...halo } } } }],
    }, true);
  };

  // Without money there is no picture to leave room for.
  const room = () => document.getElementById("sankey").classList.toggle("none", !data("flow-data")?.links.length);
  room();
  WL.draw("cum", through);
  WL.draw("sankey", flow);
  document.addEventListener("htmx:after:swap", () => { room(); WL.redraw(); });
});
