/** Style of the parts that only a report of verify has. `k0` to `k7` colour tokens from no divergence to the most. */
export const VERIFY_STYLE = `
h1 .badge { font-size: 16px; padding: 2px 12px; margin-right: 8px; text-transform: uppercase; letter-spacing: 0.04em; vertical-align: 3px; }
.banner { border: 1px solid var(--line); border-left-width: 6px; border-radius: 8px; padding: 14px 18px; margin: 14px 0; background: var(--panel); }
.banner.good { border-left-color: var(--good); } .banner.warn { border-left-color: var(--warn); }
.banner.bad { border-left-color: var(--bad); }
.banner p { margin: 0; max-width: none; overflow-wrap: anywhere; } .banner .reason { font-size: 17px; font-weight: 600; }
.banner h2 { font-size: 13px; margin: 14px 0 2px; color: var(--dim); font-weight: 600; text-transform: uppercase; letter-spacing: 0.04em; }
.banner ul { margin: 0; padding-left: 20px; } .banner li { margin: 2px 0; overflow-wrap: anywhere; }
.card small { display: block; color: var(--dim); font-size: 12px; font-variant-numeric: tabular-nums; }
.sign { display: inline-block; width: 18px; height: 18px; border-radius: 50%; text-align: center; font: bold 12px/18px system-ui, sans-serif; }
.sign.good { background: var(--good-soft); color: var(--good); } .sign.warn { background: var(--warn-soft); color: var(--warn); }
.sign.bad { background: var(--bad-soft); color: var(--bad); }
details.group { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; margin: 8px 0; }
details.group > summary { color: var(--ink); margin: 0; padding: 10px 14px; }
details.group > summary b { margin: 0 8px 0 4px; text-transform: capitalize; }
details.group ul { list-style: none; margin: 0; padding: 0 14px 8px; }
details.group li { display: grid; grid-template-columns: 24px 1fr auto; gap: 4px 8px; padding: 6px 0; border-top: 1px solid var(--line); font-size: 14px; }
details.group li > div { overflow-wrap: anywhere; min-width: 0; } details.group li code { color: var(--dim); }
.meter { width: 112px; color: var(--dim); font-size: 12px; text-align: right; font-variant-numeric: tabular-nums; }
.track { display: block; height: 6px; border-radius: 3px; background: var(--empty); overflow: hidden; margin-top: 6px; }
.track i { display: block; height: 100%; background: var(--good); } .track.bad i { background: var(--bad); }
.track.warn i { background: var(--warn); }
td small, th small { display: block; color: var(--dim); font-size: 11.5px; font-weight: 400; }
td.left, th:has(> .left) { text-align: left; } .card span { display: block; line-height: 1.35; }
.banner + p { max-width: none; }
figure { margin: 0 0 14px; } figcaption { font-size: 13px; color: var(--dim); margin-bottom: 4px; }
figcaption b { color: var(--ink); }
svg .line { fill: none; stroke: var(--after); stroke-width: 2; } svg .dot { fill: var(--after); }
svg .dot.bad { fill: var(--bad); } svg .band { fill: var(--bad-soft); } svg .rule { stroke: var(--dim); stroke-dasharray: 4 3; }
svg .bar { fill: var(--after); } svg .border { stroke: var(--line); } svg .grid-line { stroke: var(--line); stroke-width: 0.7; }
.tokens { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; font-size: 15px; padding: 10px 14px; border-bottom: 1px solid var(--line); margin: 0; max-width: none; }
.tokens:last-child { border-bottom: 0; } .tokens span { border-radius: 2px; padding: 2px 0; }
.tokens .other { text-decoration: underline wavy var(--bad) 1.5px; text-underline-offset: 3px; }
${[0, 1, 2, 3, 4, 5, 6, 7].map((step) => `.k${step} { background: ${step === 0 ? 'transparent' : `var(--h${8 - step})`}; color: ${step === 0 ? 'inherit' : `var(--t${8 - step})`}; }`).join('\n')}
.scale { display: flex; flex-wrap: wrap; font-size: 12px; margin: 4px 0 8px; } .scale span { padding: 1px 10px; border: 1px solid var(--line); border-left-width: 0; }
.scale span:first-child { border-left-width: 1px; }
.choices { display: grid; grid-template-columns: minmax(64px, auto) 56px 1fr; gap: 1px 8px; min-width: 190px; text-align: left; align-items: center; }
.choices code { white-space: pre; } .choices .track { margin: 0; min-width: 60px; } .choices .first { font-weight: 600; }
.context { white-space: pre-wrap; text-align: left; min-width: 220px; max-width: 380px; overflow-wrap: anywhere; }
.stack { display: flex; height: 22px; border-radius: 4px; overflow: hidden; margin: 8px 0 12px; } .stack i { display: block; height: 100%; min-width: 2px; }
.s0 { background: #2a6fb0; } .s1 { background: #d98324; } .s2 { background: #4c956c; } .s3 { background: #9b5094; } .s4 { background: #8a8f98; }
.key.s0, .key.s1, .key.s2, .key.s3, .key.s4 { margin-left: 0; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 8px 0; font-size: 14px; }
dl.facts dt { color: var(--dim); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 640px) { main { padding: 20px 12px 40px; } dl.facts { grid-template-columns: 1fr; gap: 0; } dl.facts dd { margin-bottom: 8px; } }
`;
