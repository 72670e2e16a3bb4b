"""The style sheet of the report: light and dark by the reader's setting."""

STYLE = """
:root{--bg:#fbfaf8;--card:#fff;--ink:#22242a;--soft:#6b6f78;--line:#e4e2dd;--leak:#b3261e;
--leakbg:#fdeeec;--fault:#9a6700;--faultbg:#fff6e0;--ok:#1a6b3c;--okbg:#eaf6ee;--train:#4c6fae;
--valid:#d08a2e;--test:#5f9a72}
@media (prefers-color-scheme:dark){:root{--bg:#16181c;--card:#1e2126;--ink:#e6e6e3;--soft:#9aa0aa;
--line:#30343b;--leak:#ff8a80;--leakbg:#3a1f1e;--fault:#e8b64c;--faultbg:#352b14;--ok:#7fd39d;
--okbg:#17301f;--train:#7f9fd8;--valid:#e0a457;--test:#86c09a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1040px;margin:0 auto;padding:40px 24px 64px}
.mark{margin:0;color:var(--soft);font-size:13px;letter-spacing:.04em}
h1{margin:2px 0 4px;font-size:26px;line-height:1.25;font-weight:650;overflow-wrap:anywhere}
h2{margin:44px 0 6px;font-size:19px;font-weight:650}
h3{margin:0 0 4px;font-size:16px;font-weight:600}
p{margin:4px 0 10px}.sub,.more,.line,footer{color:var(--soft);font-size:13px}
.verdict{margin:20px 0 28px;padding:14px 18px;border-radius:8px;border-left:5px solid}
.verdict ul{margin:6px 0 0;padding-left:20px}
.verdict.leak{background:var(--leakbg);border-color:var(--leak)}
.verdict.leak strong{color:var(--leak)}
.verdict.clean{background:var(--okbg);border-color:var(--ok)}
.verdict.clean strong{color:var(--ok)}
.finding{margin:14px 0;padding:16px 18px;background:var(--card);border:1px solid var(--line);
border-radius:8px}
.finding ul{margin:4px 0;padding-left:20px;overflow-wrap:anywhere}
.badge{display:inline-block;margin-right:9px;padding:0 8px;border-radius:9px;font-size:12px;
font-weight:600;line-height:19px;vertical-align:1px;background:var(--line);color:var(--soft)}
.leak .badge{background:var(--leakbg);color:var(--leak)}
.fault .badge{background:var(--faultbg);color:var(--fault)}
.cases{display:flex;flex-wrap:wrap;gap:18px 26px;margin-top:12px}
.case{max-width:100%}.row{display:flex;flex-wrap:wrap;gap:6px;align-items:flex-start}
figure{margin:0}figcaption{font-size:11.5px;line-height:1.35;color:var(--soft)}
.row figure{width:84px}.row figcaption{text-align:center;margin-top:3px}
.row img,.row .lost{display:block;width:84px;height:84px;object-fit:contain;border-radius:4px;
background:var(--line)}
.row .lost::after{content:"no picture";display:block;padding-top:32px;text-align:center;
font-size:11px;color:var(--soft)}
.line{margin:4px 0 0;font-size:11.5px;line-height:1.4}
p code{font-size:.92em}
code{font:11.5px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
overflow-wrap:anywhere}
.split.train{color:var(--train)}.split.valid{color:var(--valid)}.split.test{color:var(--test)}
.split{font-weight:600}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:6px 10px 6px 0;border-bottom:1px solid var(--line);text-align:left;
vertical-align:middle;font-weight:400}
tbody th{width:150px}
thead th{font-size:12.5px;color:var(--soft)}.num{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums;width:82px;padding-right:18px}
.zero{color:var(--leak);font-weight:700}
.bar{display:flex;align-items:center;gap:7px;height:12px}
.bar i{display:block;height:7px;min-width:1px;border-radius:2px;background:var(--soft)}
.bar i.train{background:var(--train)}.bar i.valid{background:var(--valid)}
.bar i.test{background:var(--test)}
.bar span{font-size:10.5px;line-height:12px;color:var(--soft);font-variant-numeric:tabular-nums}
.sample{display:flex;gap:16px;align-items:flex-start;margin:12px 0}
.sample figure{flex:0 0 96px}.sample figcaption{font-size:13px;color:var(--ink);margin-top:3px}
.mean{display:block;width:96px;height:96px;border-radius:6px}
.sheet{flex:0 1 auto;min-width:0;max-width:100%;height:auto;border-radius:6px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:22px}
.chart svg{display:block;width:100%;height:auto;border-bottom:1px solid var(--line);margin-top:6px}
.chart rect{fill:var(--train)}.chart figcaption{font-size:13px;color:var(--ink)}
.ends{display:flex;justify-content:space-between;font-size:11px;color:var(--soft);margin-top:3px}
footer{margin-top:48px;padding-top:14px;border-top:1px solid var(--line)}
@media (max-width:620px){.sample{flex-direction:column}main{padding:24px 14px}
tbody th{width:auto}.num{width:auto;padding-right:10px}.num~td:last-child{width:40%}}
"""
