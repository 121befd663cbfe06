package wire

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
)

// patience bounds what a test waits for; nothing waits for it to pass.
const patience = 20 * time.Second

// journal collects what a server logs.
type journal struct {
	mu sync.Mutex
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// rig is a server on a socket of its own.
type rig struct {
	*Server
	socket  string
	journal *journal
	served  chan error // what Serve returned
}

// start serves handlers; tune changes the server before it does.
func start(t *testing.T, handlers map[string]service.Handler, tune func(*Server)) *rig {
	t.Helper()
	r := &rig{socket: filepath.Join(t.TempDir(), "s"), journal: new(journal), served: make(chan error, 1)}
	r.Server = NewServer(handlers, Options{Logger: slog.New(slog.NewTextHandler(r.journal, nil))})
	if tune != nil {
		tune(r.Server)
	}
	l, _, err := Listen(r.socket, "")
	if err != nil {
		t.Fatal(err)
	}
	go func() { r.served <- r.Serve(l) }()
	t.Cleanup(func() { r.http.Close() })
	return r
}

func (r *rig) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// reply is an answer as it was on the wire.
type reply struct {
	status int
	header http.Header
	body   string
	err    *api.Error
}

// raw sends text as it is and reads one answer.
func (r *rig) raw(t *testing.T, text string) reply {
	t.Helper()
	c := r.dial(t)
	go func() {
		// Fails when the server has already refused; the answer tells.
		_, _ = io.WriteString(c, text)
	}()
	return receive(t, c)
}

func receive(t *testing.T, c net.Conn) reply {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("answer cut off: %v", err)
	}
	var body api.ErrorBody
	if answer.StatusCode != http.StatusOK {
		// Not JSON where net/http answers itself: err stays nil.
		_ = json.Unmarshal(text, &body)
	}
	return reply{answer.StatusCode, answer.Header, string(text), body.Error}
}

// post is a request as the client writes it; extra are header lines.
func post(action, body string, extra ...string) string {
	lines := append([]string{"Host: vpcd", "Content-Type: application/json", "Content-Length: " + itoa(len(body))}, extra...)
	return "POST /v1/" + action + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// echo answers CreateVpc with what it got.
func echo(_ context.Context, c service.Caller, request any) (any, int64, error) {
	r := request.(*api.CreateVpcRequest)
	return &api.CreateVpcResult{Vpc: &api.Vpc{OwnerId: c.Account, CidrBlock: r.CidrBlock, IsDefault: api.Ptr(false)}}, 7, nil
}

// never is a handler that must not be reached.
func never(t *testing.T) service.Handler {
	return func(context.Context, service.Caller, any) (any, int64, error) {
		t.Error("the handler was called")
		return nil, 0, errors.New("not reached")
	}
}

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
}
