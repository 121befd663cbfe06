package store

import (
	"context"
	"log/slog"
	"runtime"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// etcdLogger passes etcd's warnings (as debug) and errors to log. What etcd
// calls fatal ends only the goroutine that met it, after fatal has been told
// why: exiting is not a library's decision, and a panic there, which nobody can
// catch, would end the daemon with a dump.
func etcdLogger(log *slog.Logger, fatal func(reason string)) *zap.Logger {
	return zap.New(&slogCore{log: log}, zap.WithFatalHook(fatalHook(fatal)))
}

type fatalHook func(reason string)

func (h fatalHook) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	reason := entry.Message
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			reason += ": " + err.Error()
		}
	}
	h(reason)
	runtime.Goexit()
}

type slogCore struct{ log *slog.Logger }

func (c *slogCore) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{log: c.log.With(slogArgs(fields)...)}
}

func (c *slogCore) Check(entry zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return ce.AddCore(entry, c)
	}
	return ce
}

func (c *slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelDebug
	// Who is told of something fatal says it, once.
	if entry.Level == zapcore.ErrorLevel && !ordinary[entry.Message] {
		level = slog.LevelError
	}
	c.log.Log(context.Background(), level, "etcd: "+entry.Message, slogArgs(fields)...)
	return nil
}

// ordinary are messages that etcd logs as errors in the course of every first
// start and every stop.
var ordinary = map[string]bool{
	"failed to update storage version":              true,
	"setting up serving from embedded etcd failed.": true,
}

func (c *slogCore) Sync() error { return nil }

func slogArgs(fields []zapcore.Field) []any {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	args := make([]any, 0, 2*len(enc.Fields))
	for _, key := range sortedKeys(enc.Fields) {
		args = append(args, key, enc.Fields[key])
	}
	return args
}
