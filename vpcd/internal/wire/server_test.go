package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
)

// held is a handler that stays in a call until released.
type held struct {
	entered, release chan struct{}
}

func newHeld() held { return held{make(chan struct{}, 100), make(chan struct{})} }

func (h held) handle(ctx context.Context, c service.Caller, request any) (any, int64, error) {
	h.entered <- struct{}{}
	select {
	case <-h.release:
		return &api.DescribeVpcsResult{}, 1, nil
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

// trap is a result whose encoding panics.
type trap struct{}

func (*trap) MarshalJSON() ([]byte, error) { panic("secret/path") }

func TestFaultsCostOneCall(t *testing.T) {
	r := start(t, map[string]service.Handler{
		"DeleteVpc": func(context.Context, service.Caller, any) (any, int64, error) {
			var p *api.Vpc
			return p.VpcId, 0, nil
		},
		"DeleteSubnet": func(context.Context, service.Caller, any) (any, int64, error) {
			return nil, 0, errors.New("secret/path")
		},
		"DescribeVpcs": func(context.Context, service.Caller, any) (any, int64, error) { return nil, 0, nil },
		"CreateVpc":    echo,
		// What cannot be encoded, and what panics meanwhile.
		"CreateSubnet":        func(context.Context, service.Caller, any) (any, int64, error) { return &struct{ C chan int }{}, 7, nil },
		"CreateSecurityGroup": func(context.Context, service.Caller, any) (any, int64, error) { return &trap{}, 7, nil },
		"DescribeSubnets":     func(context.Context, service.Caller, any) (any, int64, error) { return &trap{}, 7, nil },
	}, nil)
	for action, body := range map[string]string{"CreateSubnet": `{"VpcId":"v"}`, "CreateSecurityGroup": `{"VpcId":"v","GroupName":"g","Description":"d"}`} {
		have := r.raw(t, post(action, body))
		if have.status != 400 || have.err == nil || have.err.Code != "OutcomeUnknown" {
			t.Errorf("%s, which made its change: %d %s", action, have.status, have.body)
		}
	}
	for action, body := range map[string]string{"DeleteVpc": `{"VpcId":"v"}`, "DeleteSubnet": `{"SubnetId":"s"}`, "DescribeVpcs": `{}`, "DescribeSubnets": `{}`} {
		have := r.raw(t, post(action, body))
		id := have.header.Get(RequestIDHeader)
		if have.status != 500 || have.err == nil || have.err.Code != "InternalError" || !strings.Contains(have.err.Message, id) || id == "" {
			t.Errorf("%s: %d %s", action, have.status, have.body)
		}
		if strings.Contains(have.body, "secret") {
			t.Errorf("%s tells what is for the log: %s", action, have.body)
		}
		if !strings.Contains(r.journal.String(), id) {
			t.Errorf("%s: request %s is not in the log", action, id)
		}
	}
	if have := r.raw(t, post("CreateVpc", goodBody)); have.status != 200 {
		t.Errorf("afterwards: %d %s", have.status, have.body)
	}
	for _, want := range []string{"server_test.go", "secret/path", "nil pointer", "code=InternalError"} {
		if !strings.Contains(r.journal.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, r.journal)
		}
	}
}

func TestAudit(t *testing.T) {
	r := start(t, map[string]service.Handler{
		"CreateVpc": echo,
		"DescribeVpcs": func(context.Context, service.Caller, any) (any, int64, error) {
			return &api.DescribeVpcsResult{}, 1, nil
		},
		"DeleteVpc": func(_ context.Context, _ service.Caller, request any) (any, int64, error) {
			return nil, 0, api.Errorf("InvalidVpcID.NotFound", "VpcId", "no VPC %s", request.(*api.DeleteVpcRequest).VpcId)
		},
	}, nil)
	done := r.raw(t, post("CreateVpc", goodBody, "Vpc-Account: 000000000009"))
	r.raw(t, post("DescribeVpcs", `{}`))
	r.raw(t, post("DeleteVpc", `{"VpcId":"x\nmsg=audit code=ok\u001b[2J\""}`))
	r.raw(t, post("DeleteVpc", `{"Vpc\nId":"x"}`))
	lines := strings.Split(strings.TrimSpace(r.journal.String()), "\n")
	who := fmt.Sprintf("time=[^ ]+ level=INFO msg=audit uid=%d gid=%d pid=%d", os.Getuid(), os.Getgid(), os.Getpid())
	want := []string{
		who + " account=000000000009 action=CreateVpc code=ok request=" + done.header.Get(RequestIDHeader),
		who + ` account=000000000001 action=DeleteVpc code=InvalidVpcID.NotFound message=".*x.*msg=audit.*" request=[A-Z2-7]+`,
		who + ` account=000000000001 action=DeleteVpc code=UnknownParameter message=".*" request=[A-Z2-7]+`,
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), r.journal)
	}
	for i, line := range lines {
		if !regexp.MustCompile("^"+want[i]+"$").MatchString(line) || strings.ContainsAny(line, "\x1b\r") {
			t.Errorf("line %d\n have %q\n want %s", i, line, want[i])
		}
	}
}

func TestConcurrentCalls(t *testing.T) {
	const calls = 64
	var all sync.WaitGroup
	all.Add(calls)
	r := start(t, map[string]service.Handler{"CreateVpc": func(ctx context.Context, c service.Caller, request any) (any, int64, error) {
		// Nobody is answered before all are being served.
		all.Done()
		all.Wait()
		return echo(ctx, c, request)
	}}, nil)
	c := client.New(r.socket)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			block := fmt.Sprintf("10.%d.0.0/16", i)
			account := fmt.Sprintf("%012d", i)
			res, _, err := client.Call[api.CreateVpcRequest, api.CreateVpcResult](ctx, c.WithAccount(account), "CreateVpc", &api.CreateVpcRequest{CidrBlock: block})
			if err != nil || res.Vpc.CidrBlock != block || res.Vpc.OwnerId != account {
				t.Errorf("call %d: %+v, %v", i, res, err)
			}
		})
	}
	wg.Wait()
}

func TestSlowCallersBlockNobody(t *testing.T) {
	r := start(t, map[string]service.Handler{"CreateVpc": echo}, nil)
	for _, part := range []string{"", "POST /v1/Cre", post("CreateVpc", goodBody)[:60], strings.TrimSuffix(post("CreateVpc", goodBody), "}")} {
		if _, err := io.WriteString(r.dial(t), part); err != nil {
			t.Fatal(err)
		}
	}
	if have := r.raw(t, post("CreateVpc", goodBody)); have.status != 200 {
		t.Errorf("%d %s", have.status, have.body)
	}
}

func TestSlowCallersAreCutOff(t *testing.T) {
	r := start(t, map[string]service.Handler{"CreateVpc": never(t)}, func(s *Server) {
		s.http.ReadHeaderTimeout, s.bodyTime = 50*time.Millisecond, 50*time.Millisecond
	})
	for name, part := range map[string]string{"silent": "", "half a header": "POST /v1/CreateVpc HTTP/1.1\r\nHost: v"} {
		c := r.dial(t)
		if _, err := io.WriteString(c, part); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: still connected after %v", name, patience)
		}
	}
	// The answer proves that the body's time, not the test's, ended the wait.
	have := r.raw(t, strings.TrimSuffix(post("CreateVpc", goodBody), "}"))
	if have.err == nil || have.err.Code != "RequestTimeout" {
		t.Errorf("half a body: %d %s", have.status, have.body)
	}
}

// TestLongCallOutlivesBodyTime: the time for the body is not one for the action.
func TestLongCallOutlivesBodyTime(t *testing.T) {
	const bodyTime = 50 * time.Millisecond
	r := start(t, map[string]service.Handler{"DescribeVpcs": func(ctx context.Context, _ service.Caller, _ any) (any, int64, error) {
		select {
		case <-time.After(4 * bodyTime):
			return &api.DescribeVpcsResult{}, 1, nil
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}}, func(s *Server) { s.bodyTime = bodyTime })
	if have := r.raw(t, post("DescribeVpcs", `{}`)); have.status != 200 {
		t.Errorf("%d %s", have.status, have.body)
	}
}

func TestCallerWhoLeavesEndsTheCall(t *testing.T) {
	h, left := newHeld(), make(chan struct{})
	r := start(t, map[string]service.Handler{"DescribeVpcs": func(ctx context.Context, c service.Caller, q any) (any, int64, error) {
		defer close(left)
		return h.handle(ctx, c, q)
	}}, nil)
	c := r.dial(t)
	if _, err := io.WriteString(c, post("DescribeVpcs", `{}`)); err != nil {
		t.Fatal(err)
	}
	<-h.entered
	c.Close()
	within(t, "the call's context ends", left)
}

func TestConnectionCap(t *testing.T) {
	const most = 4
	r := start(t, map[string]service.Handler{"CreateVpc": echo}, func(s *Server) { s.connMax = most })
	// A call on each, so that all are accepted.
	keep := func() net.Conn {
		c := r.dial(t)
		if _, err := io.WriteString(c, post("CreateVpc", goodBody)); err != nil {
			t.Fatal(err)
		}
		if have := receive(t, c); have.status != 200 {
			t.Fatalf("%d %s", have.status, have.body)
		}
		return c
	}
	var open []net.Conn
	for range most {
		open = append(open, keep())
	}
	if have := r.raw(t, post("CreateVpc", goodBody)); have.err == nil || have.err.Code != "RequestLimitExceeded" || have.status != 503 {
		t.Errorf("one too many: %d %s", have.status, have.body)
	}
	for range 2 * most {
		r.dial(t)
	}
	// Twice the cap is taken up; the next is closed unheard.
	if all, err := io.ReadAll(r.dial(t)); len(all) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("beyond twice the cap: %q, %v", all, err)
	}
	open[0].Close()
}

func TestPlaceIsFreedOnce(t *testing.T) {
	g := &gate{max: 1}
	g.open.Store(2)
	a, b := net.Pipe()
	defer b.Close()
	c := &conn{Conn: a, gate: g}
	c.Close()
	c.Close()
	if n := g.open.Load(); n != 1 {
		t.Errorf("%d open, want 1", n)
	}
}

func TestConnectionWithoutPeerIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip("no loopback:", err)
	}
	s := NewServer(map[string]service.Handler{"CreateVpc": never(t)}, Options{Logger: slog.New(slog.DiscardHandler)})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(c); len(all) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("answered %q, %v", all, err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestShutdownWaitsForCalls(t *testing.T) {
	h := newHeld()
	r := start(t, map[string]service.Handler{"DescribeVpcs": h.handle}, nil)
	c := r.dial(t)
	if _, err := io.WriteString(c, post("DescribeVpcs", `{}`)); err != nil {
		t.Fatal(err)
	}
	<-h.entered
	down := make(chan error, 1)
	go func() { down <- r.Shutdown(t.Context()) }()
	// Serve returns once nothing new is taken.
	if err := <-r.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := net.Dial("unix", r.socket); err == nil {
		t.Error("a connection was taken after Shutdown")
	}
	select {
	case err := <-down:
		t.Fatalf("Shutdown returned during a call: %v", err)
	default:
	}
	close(h.release)
	if have := receive(t, c); have.status != 200 {
		t.Errorf("the call in flight: %d %s", have.status, have.body)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if _, err := os.Lstat(r.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestShutdownCutsCallsThatOutlastIt(t *testing.T) {
	h, left := newHeld(), make(chan struct{})
	r := start(t, map[string]service.Handler{"DescribeVpcs": func(ctx context.Context, c service.Caller, q any) (any, int64, error) {
		defer close(left)
		return h.handle(ctx, c, q)
	}}, nil)
	if _, err := io.WriteString(r.dial(t), post("DescribeVpcs", `{}`)); err != nil {
		t.Fatal(err)
	}
	<-h.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	within(t, "the call's context ends", left)
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"web":                    "web",
		"a\nb\x1b\"":             `a\nb\x1b\"`,
		"é\xff\u202e":            `\u00e9\xff\u202e`,
		strings.Repeat("x", 300): strings.Repeat("x", 200) + "...",
	} {
		if have := api.Printable(in); have != want {
			t.Errorf("%q: %s, want %s", in, have, want)
		}
	}
}

func TestDefaultAccountIsChecked(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an account of letters was taken")
		}
	}()
	NewServer(nil, Options{DefaultAccount: "me"})
}
