export { createLogger, LOG_LEVELS, type Logger, type LogLevel, printable } from './logger.ts';
export { type CounterMetric, type GaugeMetric, type HistogramMetric, type LabelValues, Metrics } from './metrics.ts';
export { type MetricsServer, startMetricsServer } from './metrics-server.ts';
