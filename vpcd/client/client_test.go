package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// serve answers on a unix socket of its own and returns a client of it.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	c := New(socket)
	t.Cleanup(func() { c.Close(); srv.Close() })
	return c
}

func createVpc(ctx context.Context, c *Client) (*api.CreateVpcResult, int64, error) {
	return Call[api.CreateVpcRequest, api.CreateVpcResult](ctx, c, "CreateVpc", &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"})
}

func TestCall(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen := strings.Join([]string{r.Method, r.Host, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get(api.AccountHeader), string(body)}, " ")
		const want = `POST vpcd /v1/CreateVpc application/json 000000000002 {"CidrBlock":"10.0.0.0/16"}`
		if seen != want {
			t.Errorf("request\n have %s\n want %s", seen, want)
		}
		w.Header().Set(api.RevisionHeader, "42")
		io.WriteString(w, `{"Vpc":{"VpcId":"vpc-1","IsDefault":false}}`)
	})
	res, revision, err := createVpc(t.Context(), c.WithAccount("000000000002"))
	if err != nil {
		t.Fatal(err)
	}
	if revision != 42 || res.Vpc.VpcId != "vpc-1" || res.Vpc.IsDefault == nil {
		t.Errorf("revision %d, result %+v", revision, res.Vpc)
	}
}

func TestRefused(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if h := r.Header.Values(api.AccountHeader); len(h) != 0 {
			t.Errorf("%s: %v without an account", api.AccountHeader, h)
		}
		w.WriteHeader(400)
		io.WriteString(w, `{"Error":{"Code":"DependencyViolation","Message":"in use","Field":"VpcId","BlockedBy":[{"Kind":"subnet","Id":"subnet-1"}],"Hint":"x"}}`)
	})
	res, _, err := createVpc(t.Context(), c)
	var e *api.Error
	if !errors.As(err, &e) || res != nil {
		t.Fatalf("result %v, error %v", res, err)
	}
	if e.Code != "DependencyViolation" || e.Field != "VpcId" || len(e.BlockedBy) != 1 || e.BlockedBy[0].Id != "subnet-1" || e.Hint != "x" {
		t.Errorf("error %+v", e)
	}
}

func TestAnswersThatAreNotOurs(t *testing.T) {
	for name, c := range map[string]struct {
		status         int
		revision, body string
		want           string
	}{
		"not JSON":       {502, "", "<html>", "502 Bad Gateway"},
		"no error":       {500, "", "{}", "without an error"},
		"result cut off": {200, "1", `{"Vpc":`, "the answer to CreateVpc"},
		"revision":       {200, "x", `{}`, api.RevisionHeader},
	} {
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(api.RevisionHeader, c.revision)
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		_, _, err := createVpc(t.Context(), client)
		var e *api.Error
		if err == nil || errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestNoDaemon(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "s")
	dead := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, socket := range []string{missing, dead} {
		_, _, err := createVpc(t.Context(), New(socket))
		if !errors.Is(err, ErrNoDaemon) || !strings.Contains(err.Error(), socket) || strings.Contains(err.Error(), "http://") {
			t.Errorf("%s: %v", socket, err)
		}
	}
}

// TestUnanswered: a listener that closes what it accepts has too much of it.
func TestUnanswered(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for range 20 {
		if _, _, err := createVpc(t.Context(), New(socket)); !errors.Is(err, ErrUnanswered) || !strings.Contains(err.Error(), "too many connections") {
			t.Fatal(err)
		}
	}
}

func TestPermission(t *testing.T) {
	if os.Getuid() == 0 {
		// Root may open every socket, so the dial's error is made by hand.
		err := New("/s").explain(&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", os.ErrPermission)})
		if !errors.Is(err, ErrPermission) || errors.Is(err, ErrNoDaemon) {
			t.Error(err)
		}
		return
	}
	c := serve(t, func(http.ResponseWriter, *http.Request) {})
	if err := os.Chmod(c.socket, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := createVpc(t.Context(), c); !errors.Is(err, ErrPermission) {
		t.Error(err)
	}
}

// A daemon that dies during a call is not "no daemon": the action may have happened.
func TestDaemonDiesDuringCall(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, _, err := createVpc(t.Context(), c)
	if err == nil || errors.Is(err, ErrNoDaemon) || errors.Is(err, ErrPermission) {
		t.Error(err)
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		// The server notices that the caller left only once the body is read.
		io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	if _, _, err := createVpc(ctx, c); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWrongStructs(t *testing.T) {
	c := New("/nowhere")
	_, _, err := Call[api.CreateVpcRequest, api.DeleteVpcResult](t.Context(), c, "CreateVpc", &api.CreateVpcRequest{})
	if err == nil || errors.Is(err, ErrNoDaemon) {
		t.Errorf("another action's result: %v", err)
	}
	_, _, err = Call[api.CreateVpcRequest, api.CreateVpcResult](t.Context(), c, "MakeVpc", &api.CreateVpcRequest{})
	if err == nil || errors.Is(err, ErrNoDaemon) {
		t.Errorf("unknown action: %v", err)
	}
}
