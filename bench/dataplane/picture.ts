import { init } from 'echarts';
import { METRICS, type Metric } from '../lib/traffic.ts';
import { peersOf, type ReportRow } from './report.ts';

const WIDTH = 1100;
const ROW_HEIGHT = 22;
const MARGIN = { top: 110, bottom: 50 } as const;
const SHOWN: readonly Metric[] = ['tcpGbps', 'udpPps', 'rrP50Us', 'crrPerSecond'];
const COLOURS = ['#2f6f9f', '#2f7d4f', '#b07d2b', '#8a4f9f'];

/** An SVG of how the contestants of Cable compare with their peers: a bar is the ratio, on a logarithmic scale, and the line at 1 is the peer. */
export function drawRatios(rows: readonly ReportRow[]): string {
  const pairs = rows.flatMap((row) =>
    peersOf(row).map((peer) => ({ row, peer, name: `${row.path}\nagainst ${peer}` })),
  );
  const chart = init(null, null, {
    ...{ renderer: 'svg', ssr: true, width: WIDTH },
    height: MARGIN.top + MARGIN.bottom + Math.max(1, pairs.length) * SHOWN.length * ROW_HEIGHT,
  });
  chart.setOption({
    animation: false,
    color: COLOURS,
    title: { text: 'Cable and its peers, in one run: more than 1 is better than the peer', left: 16, top: 12 },
    legend: { top: 50, left: 16, itemGap: 40 },
    grid: { left: 380, right: 70, ...MARGIN },
    xAxis: { type: 'log', axisLabel: { formatter: (value: number) => `${value}×` } },
    yAxis: {
      ...{ type: 'category', inverse: true },
      data: pairs.map(({ name }) => name),
      axisLabel: { lineHeight: 16 },
    },
    series: SHOWN.map((metric, index) => ({
      name: METRICS[metric].label,
      type: 'bar',
      data: pairs.map(({ row, peer }) => ratioOf(row, metric, peer)),
      label: { show: true, position: 'right', formatter: ({ value }: { value: unknown }) => Number(value).toFixed(2) },
      ...(index > 0
        ? {}
        : { markLine: { symbol: 'none', data: [{ xAxis: 1 }], label: { show: false }, lineStyle: { type: 'solid' } } }),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function ratioOf(row: ReportRow, metric: Metric, peer: string): number | undefined {
  return row.figures[metric]?.ratios.find((one) => one.peer === peer)?.ratio;
}
