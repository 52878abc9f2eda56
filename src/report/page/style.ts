/**
 * The style of every page. Colours are custom properties with a value for light and one for dark; `h0` to `h8` are the
 * steps of heat maps from worst to best (ColorBrewer OrRd in light; best recedes into the ground in both).
 */
export const STYLE = `
:root { color-scheme: light dark;
  --ground: #fbfbfa; --panel: #ffffff; --ink: #1d2126; --dim: #666e78; --line: #dfe2e6; --accent: #2a6fb0;
  --good: #1c7c45; --warn: #9a6700; --bad: #b3261e; --good-soft: #e3f3e8; --warn-soft: #fbf0d4; --bad-soft: #fbe5e2;
  --before: #a9b4c0; --after: #2a6fb0; --empty: #eef0f2; --exact: #dbe7dc;
  --h0: #7f0000; --h1: #b30000; --h2: #d7301f; --h3: #ef6548; --h4: #fc8d59; --h5: #fdbb84; --h6: #fdd49e;
  --h7: #fee8c8; --h8: #fff7ec;
  --t0: #fff; --t1: #fff; --t2: #fff; --t3: #1d2126; --t4: #1d2126; --t5: #1d2126; --t6: #1d2126; --t7: #1d2126;
  --t8: #1d2126; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #14171a; --panel: #1b1f24; --ink: #e4e7ea; --dim: #98a1ab; --line: #31373e; --accent: #6fb1ee;
  --good: #5cc98a; --warn: #e3b341; --bad: #ff8a80; --good-soft: #16301f; --warn-soft: #332a10; --bad-soft: #3c1a18;
  --before: #5a6570; --after: #6fb1ee; --empty: #20252a; --exact: #24382b;
  --h0: #ffd9a0; --h1: #ffb15e; --h2: #fb8a3c; --h3: #e2652b; --h4: #bd4a26; --h5: #943a26; --h6: #6c3027;
  --h7: #492a27; --h8: #2d2526;
  --t0: #14171a; --t1: #14171a; --t2: #14171a; --t3: #14171a; --t4: #fff; --t5: #fff; --t6: #fff; --t7: #e4e7ea;
  --t8: #e4e7ea; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 40px 0 6px; }
h3 { font-size: 14px; margin: 0 0 6px; overflow-wrap: anywhere; }
p { margin: 4px 0 12px; max-width: 80ch; }
.dim { color: var(--dim); } .small { font-size: 13px; }
code, pre, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.9em; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 12px; margin: 8px 0;
  overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 20px 0; padding: 0; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.card b { display: block; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.3; }
.card span { color: var(--dim); font-size: 13px; }
.card.good { border-left: 4px solid var(--good); } .card.bad { border-left: 4px solid var(--bad); }
.card.warn { border-left: 4px solid var(--warn); }
.badge { display: inline-block; border-radius: 4px; padding: 0 8px; font-size: 13px; font-weight: 600; }
.badge.good { background: var(--good-soft); color: var(--good); }
.badge.warn { background: var(--warn-soft); color: var(--warn); }
.badge.bad { background: var(--bad-soft); color: var(--bad); }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--panel); }
.wide > svg { display: block; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--dim); font-weight: 500; position: sticky; top: 0; background: var(--panel); }
tr:last-child td { border-bottom: 0; }
td.good { color: var(--good); } td.bad { color: var(--bad); font-weight: 600; } td.text { text-align: left; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 14px; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; margin: 0; }
details > summary { cursor: pointer; color: var(--accent); margin: 8px 0; }
svg text { fill: var(--ink); font: 11px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
svg text.dim { fill: var(--dim); }
svg .axis { stroke: var(--line); }
svg .empty { fill: var(--empty); } svg .exact { fill: var(--exact); }
${[0, 1, 2, 3, 4, 5, 6, 7, 8].map((step) => `svg .h${step} { fill: var(--h${step}); } svg text.t${step} { fill: var(--t${step}); }`).join('\n')}
svg rect.cell:hover { stroke: var(--ink); stroke-width: 1.5; }
svg .before { fill: var(--before); } svg .after { fill: none; stroke: var(--after); stroke-width: 1.5; }
.key { display: inline-block; width: 12px; height: 12px; margin: 0 4px 0 12px; vertical-align: -1px; border-radius: 2px; }
.key.before { background: var(--before); } .key.after { border: 2px solid var(--after); }
@media print { main { max-width: none; padding: 0; } .wide { overflow: visible; } th { position: static; } }
`;
