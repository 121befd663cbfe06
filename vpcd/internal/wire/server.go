package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
)

const (
	bodyMax   = 1 << 20  // bytes
	headerMax = 16 << 10 // bytes; net/http adds 4 KiB
	connMax   = 512

	headerTime = 5 * time.Second
	bodyTime   = 30 * time.Second
	answerTime = 30 * time.Second
	idleTime   = 2 * time.Minute
)

// Options of a server. The zero value is usable.
type Options struct {
	// DefaultAccount owns what a caller does who names no account: 12 digits.
	// Empty means 000000000001.
	DefaultAccount string
	// Logger gets a line for each action that changes something, and faults of
	// ours. Nil means slog.Default.
	Logger *slog.Logger
}

// Server answers the actions of a service in JSON.
type Server struct {
	core
	account string
}

// NewServer makes a server of handlers, which it does not change. It panics
// when the default account is not 12 digits, which no caller could name either.
func NewServer(handlers map[string]service.Handler, opts Options) *Server {
	s := &Server{core: newCore(handlers, opts.Logger), account: opts.DefaultAccount}
	if s.account == "" {
		s.account = "000000000001"
	}
	if !isAccount(s.account) {
		panic("wire: the default account " + api.Printable(s.account) + " is not 12 digits")
	}
	s.http.Handler = http.HandlerFunc(s.serveJSON)
	return s
}

// Serve answers what comes in through a unix listener, until Shutdown, which
// makes it return nil at once. The listener is closed when it returns.
func (s *Server) Serve(l net.Listener) error {
	return s.accept(&gate{Listener: l, max: s.connMax, identify: peerOf, log: s.log})
}

// core is what all encodings share: the way to the handlers, and the bounds of
// a connection.
type core struct {
	handlers map[string]service.Handler
	log      *slog.Logger
	http     *http.Server

	connMax              int64
	bodyTime, answerTime time.Duration
}

func newCore(handlers map[string]service.Handler, log *slog.Logger) core {
	if log == nil {
		log = slog.Default()
	}
	c := core{handlers: handlers, log: log, connMax: connMax, bodyTime: bodyTime, answerTime: answerTime}
	c.http = &http.Server{
		ReadHeaderTimeout:            headerTime,
		IdleTimeout:                  idleTime,
		MaxHeaderBytes:               headerMax,
		DisableGeneralOptionsHandler: true,
		Protocols:                    new(http.Protocols),
		ConnContext:                  withConn,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	c.http.Protocols.SetHTTP1(true)
	return c
}

// accept serves until Shutdown.
func (s *core) accept(l net.Listener) error {
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops listening, waits for the calls in flight, and returns ctx's
// error when they outlast ctx: they are cut off then, and their contexts end.
func (s *core) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}
