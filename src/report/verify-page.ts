import type { VerifyReport } from '../core/verify-report.js';
import { html } from './page/markup.js';
import { page, type Section } from './page/page.js';
import { checkGroups } from './verify-page/checks.js';
import { layerPlot } from './verify-page/layer-plot.js';
import { decoding, metricTable } from './verify-page/metrics.js';
import { positionPlots } from './verify-page/positions.js';
import { reproduction } from './verify-page/reproduce.js';
import { sizes } from './verify-page/sizes.js';
import { VERIFY_STYLE } from './verify-page/style.js';
import { disagreements } from './verify-page/tokens.js';
import { banner, cards, heading } from './verify-page/verdict.js';
import { weightErrors } from './verify-page/weights.js';
import { windowPlot } from './verify-page/windows.js';

/** A report as one HTML file that loads and runs nothing: verdict and reason first, then what they rest on. */
export function verifyPage(report: VerifyReport): string {
  return page({
    title: `${report.verdict.toUpperCase()} ${report.subject.path} - halfbyte verify`,
    heading: heading(report),
    style: VERIFY_STYLE,
    lead: html`${banner(report)}\n${cards(report)}`,
    sections: sectionsOf(report),
    foot: `halfbyte ${report.tool.version}`,
  });
}

/** The parts for which the report has something to show. */
function sectionsOf(report: VerifyReport): Section[] {
  const { comparisons, decode, greedy, perplexity, windows, layers, tensors, subject } = report;
  const sections: (Section | false)[] = [
    { title: 'Checks', lead: 'What the verdict rests on.', body: checkGroups(report) },
    layers.length > 0 && { title: 'Error by layer', body: layerPlot(report) },
    tensors.length > 0 && { title: 'Weights', body: weightErrors(report) },
    comparisons.length > 0 && {
      title: 'What the model says',
      lead: 'Logits of the package against the reference on the same tokens, with 95 % intervals. Reported; judged by --gate alone.',
      body: metricTable(report),
    },
    comparisons.length > 0 && {
      title: 'Divergence by position',
      lead: 'KL divergence of the next token, reference to package, in nats.',
      body: positionPlots(report),
    },
    comparisons.length > 0 && {
      title: 'Where the two disagree',
      lead: 'Positions with the greatest divergence among those where the most likely next token is not the same; bold: the token that follows in the text.',
      body: disagreements(report),
    },
    windows !== undefined &&
      windows.length > 0 && {
        title: 'Prompt windows',
        lead: "Error of each window's logits against what the package's own weights give.",
        body: windowPlot(report),
      },
    (decode.length > 0 || greedy !== null || perplexity !== null) && { title: 'Running', body: decoding(report) },
    (subject.sizes ?? subject.files).length > 0 && { title: 'Sizes', body: sizes(report) },
    { title: 'Reproduce', body: reproduction(report) },
  ];
  return sections.filter((each): each is Section => each !== false);
}
