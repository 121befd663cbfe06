package attach

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
)

var (
	webID   = strings.Repeat("ab", 32)
	otherID = strings.Repeat("cd", 32)
)

// populated is a world with one workload of each kind, and some that are none.
func populated(t *testing.T) *world {
	w := newWorld(t)
	w.engine.start()
	w.namespace("x", 100)
	w.namespace("taken", 101)
	w.namespace("root", rootInode)
	w.namespace("lab", ownInode)
	w.namespace("vpc-test", 102)
	w.namespace("vpc-h1-vpc-0123456789abcdef0", 103)
	w.namespace("vpc-h2-vpc-0123456789abcdef0", 104)
	w.namespace("alias", 103)
	w.kernel.links["101/eth0"], w.kernel.routes[101] = true, true
	w.process(42, 4200, 110)
	w.process(43, 4300, rootInode)
	w.process(44, 4400, 103)
	w.process(45, 4500, 111)
	w.state(45, 4500, "Z")
	w.run(webID, "web", 50, 120)
	w.kernel.links["tap 2/t0"], w.kernel.links["2/t0"], w.kernel.links["2/dummy0"] = true, true, true
	w.kernel.adopted["held"] = true
	return w
}

func TestResolve(t *testing.T) {
	w := populated(t)
	docker := "docker:" + webID
	for _, c := range []struct {
		target, ifname string
		noRoute        bool
		want           host.Workload
	}{
		{"netns:x", "", false, host.Workload{Target: "netns:x", Display: "netns:x", Kind: "netns", IfName: "eth0"}},
		{"netns:x", "net1", false, host.Workload{Target: "netns:x", Display: "netns:x", Kind: "netns", IfName: "net1"}},
		{"netns:taken", "eth1", true, host.Workload{Target: "netns:taken", Display: "netns:taken", Kind: "netns", IfName: "eth1"}},
		{"netns:vpc-test", "", false, host.Workload{Target: "netns:vpc-test", Display: "netns:vpc-test", Kind: "netns", IfName: "eth0"}},
		{"pid:42", "", false, host.Workload{Target: "pid:42/4200", Display: "pid:42", Kind: "pid", IfName: "eth0"}},
		{"pid:42/4200", "", false, host.Workload{Target: "pid:42/4200", Display: "pid:42", Kind: "pid", IfName: "eth0"}},
		{"docker:web", "", false, host.Workload{Target: docker, Display: "docker:web", Kind: "docker", Engine: engineID, IfName: "eth0"}},
		{"docker:" + webID[:12], "", false, host.Workload{Target: docker, Display: "docker:web", Kind: "docker", Engine: engineID, IfName: "eth0"}},
		{docker, "eth1", false, host.Workload{Target: docker, Display: "docker:web", Kind: "docker", Engine: engineID, IfName: "eth1"}},
		{"tap:t0", "", false, host.Workload{Target: "tap:t0", Display: "tap:t0", Kind: "tap", IfName: "t0"}},
		{"tap:t0", "t0", false, host.Workload{Target: "tap:t0", Display: "tap:t0", Kind: "tap", IfName: "t0"}},
		{"tap:held", "", false, host.Workload{Target: "tap:held", Display: "tap:held", Kind: "tap", IfName: "held"}},
	} {
		got, err := w.Resolve(t.Context(), c.target, c.ifname, !c.noRoute)
		if err != nil || got != c.want {
			t.Errorf("Resolve(%s, %q) = %+v, %v; want %+v", c.target, c.ifname, got, err, c.want)
			continue
		}
		p, err := w.Locate(t.Context(), got.Target, engineID)
		if err != nil || p.Kind != c.want.Kind {
			t.Errorf("Locate(%s) = %+v, %v", got.Target, p, err)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	w := populated(t)
	for _, c := range []struct {
		target, ifname    string
		code, field, hint string
		exit              int
	}{
		{"x", "", "InvalidParameterValue", "Target", "netns:NAME", api.ExitRefused},
		{"netns:none", "", "InvalidTarget.NotFound", "Target", "ip netns add none", api.ExitNotFound},
		{"netns:root", "", "OperationNotPermitted", "Target", "", api.ExitRefused},
		{"netns:lab", "", "OperationNotPermitted", "Target", "", api.ExitRefused},
		{"netns:vpc-h1-vpc-0123456789abcdef0", "", "OperationNotPermitted", "Target", "", api.ExitRefused},
		{"netns:vpc-h1-none", "", "OperationNotPermitted", "Target", "", api.ExitRefused},
		{"netns:vpc-h2-vpc-0123456789abcdef0", "", "OperationNotPermitted", "Target", "", api.ExitRefused},
		{"netns:alias", "", "OperationNotPermitted", "Target", "", api.ExitRefused},
		{"netns:taken", "", "Resource.AlreadyAssociated", "InterfaceName", "--ifname", api.ExitConflict},
		{"netns:taken", "eth1", "Resource.AlreadyAssociated", "NoDefaultRoute", "--no-default-route", api.ExitConflict},
		{"netns:x", "a/b", "InvalidParameterValue", "InterfaceName", "--ifname", api.ExitRefused},
		{"netns:x", "eth 0", "InvalidParameterValue", "InterfaceName", "--ifname", api.ExitRefused},
		{"netns:x", "eth%d", "InvalidParameterValue", "InterfaceName", "--ifname", api.ExitRefused},
		{"netns:x", "..", "InvalidParameterValue", "InterfaceName", "--ifname", api.ExitRefused},
		{"netns:x", "sixteencharslong", "InvalidParameterValue", "InterfaceName", "--ifname", api.ExitRefused},
		{"pid:4242", "", "InvalidTarget.NotFound", "Target", "", api.ExitNotFound},
		{"pid:42/4201", "", "InvalidTarget.NotFound", "Target", "", api.ExitNotFound},
		{"pid:45", "", "InvalidTarget.NotFound", "Target", "", api.ExitNotFound},
		{"pid:1", "", "OperationNotPermitted", "Target", "", api.ExitRefused},
		{"pid:43", "", "OperationNotPermitted", "Target", "", api.ExitRefused},
		{"pid:44", "", "OperationNotPermitted", "Target", "", api.ExitRefused},
		{"docker:nope", "", "InvalidTarget.NotFound", "Target", "docker ps", api.ExitNotFound},
		{"tap:none", "", "InvalidTarget.NotFound", "Target", "ip tuntap", api.ExitNotFound},
		{"tap:dummy0", "", "InvalidParameterValue", "Target", "", api.ExitRefused},
		{"tap:t0", "eth1", "InvalidParameterValue", "InterfaceName", "--ifname", api.ExitRefused},
	} {
		t.Run(strings.ReplaceAll(c.target, "/", "_")+"_"+c.ifname, func(t *testing.T) {
			_, err := w.Resolve(t.Context(), c.target, c.ifname, true)
			refusedWith(t, err, c.code, c.field, c.hint)
			if got := api.ExitCode(c.code); got != c.exit {
				t.Fatalf("exit code %d, want %d", got, c.exit)
			}
		})
	}
}

func TestResolveContainerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(w *world, c *container)
		code, hint string
	}{
		"stopped":     {func(w *world, c *container) { w.stop(c) }, "IncorrectState", "docker start web"},
		"restarting":  {func(_ *world, c *container) { c.State.Restarting, c.State.Pid = true, 0 }, "IncorrectState", "docker start web"},
		"just ended":  {func(w *world, c *container) { w.exit(c.State.Pid) }, "IncorrectState", "docker start web"},
		"host":        {func(_ *world, c *container) { c.HostConfig.NetworkMode = "host" }, "OperationNotPermitted", "--network none"},
		"shared":      {func(_ *world, c *container) { c.HostConfig.NetworkMode = "container:" + otherID }, "OperationNotPermitted", "docker:" + otherID[:12]},
		"in the root": {func(w *world, c *container) { w.process(c.State.Pid, 1, rootInode) }, "OperationNotPermitted", ""},
		"number used": {func(w *world, c *container) { w.process(c.State.Pid, 9, 999) }, "Unavailable", ""},
		"no id":       {func(_ *world, c *container) { c.ID = "x" }, "Unavailable", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := populated(t)
			c.change(w, w.engine.containers[webID])
			_, err := w.Resolve(t.Context(), "docker:web", "", true)
			refusedWith(t, err, c.code, "Target", c.hint)
		})
	}
}

// Without a handle of the sandbox that can be read, the process alone counts.
func TestResolveContainerWithoutSandbox(t *testing.T) {
	for _, key := range []string{"", "/not/visible/here"} {
		w := populated(t)
		w.engine.containers[webID].NetworkSettings.SandboxKey = key
		if _, err := w.Resolve(t.Context(), "docker:web", "", true); err != nil {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func TestResolveBadEngine(t *testing.T) {
	for name, c := range map[string]struct {
		answer     func(w http.ResponseWriter)
		code, text string
	}{
		"fault":      {func(w http.ResponseWriter) { http.Error(w, `{"message":"on fire"}`, 500) }, "Unavailable", "on fire"},
		"ambiguous":  {func(w http.ResponseWriter) { http.Error(w, `{"message":"two\u001b[1m hits"}`, 400) }, "InvalidParameterValue", "two"},
		"no JSON":    {func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, "Unavailable", "invalid character"},
		"wrong type": {func(w http.ResponseWriter) { fmt.Fprint(w, `{"State":{"Pid":"x"}}`) }, "Unavailable", "Pid"},
		"endless":    {func(w http.ResponseWriter) { fmt.Fprint(w, strings.Repeat(" ", maxAnswer+1)) }, "Unavailable", "longer than"},
		"cut short":  {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "99"); fmt.Fprint(w, "{") }, "Unavailable", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.engine.raw = func(rw http.ResponseWriter, _ *http.Request) bool { c.answer(rw); return true }
			w.engine.start()
			_, err := w.Resolve(t.Context(), "docker:web", "", true)
			refusedWith(t, err, c.code, "Target", "")
			if !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\x1b") {
				t.Fatalf("message %q, want %q in it", err, c.text)
			}
		})
	}
}

// TestResolveAmbiguous: the start of an id that two containers share names both,
// whatever code the engine's version answers with.
func TestResolveAmbiguous(t *testing.T) {
	for _, code := range []int{400, 500} {
		w := newWorld(t)
		ids := []string{"ab1" + webID[3:], "ab2" + webID[3:], "ac3" + webID[3:]}
		listed := true
		w.engine.raw = func(rw http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.URL.Path == "/containers/ab/json":
				http.Error(rw, `{"message":"Multiple IDs found with provided prefix: ab"}`, code)
			case r.URL.Path == "/containers/json" && r.URL.Query().Get("all") == "1" && listed:
				fmt.Fprintf(rw, `[{"Id":%q,"Names":["/web"]},{"Id":%q,"Names":["/b\u001bad"]},{"Id":%q}]`, ids[0], ids[1], ids[2])
			default:
				http.Error(rw, `{"message":"no"}`, 500)
			}
			return true
		}
		w.engine.start()
		_, err := w.Resolve(t.Context(), "docker:ab", "", true)
		refusedWith(t, err, "InvalidTarget.Conflict", "Target", "")
		want := []api.Blocker{{Kind: "container", Id: ids[0][:12], Name: "web"}, {Kind: "container", Id: ids[1][:12], Name: ids[1][:12]}}
		var e *api.Error
		if errors.As(err, &e); !slices.Equal(e.BlockedBy, want) || api.ExitCode(e.Code) != api.ExitConflict {
			t.Errorf("candidates %+v, exit %d; want %+v, 4", e.BlockedBy, api.ExitCode(e.Code), want)
		}
		listed = false
		if _, err := w.Resolve(t.Context(), "docker:ab", "", true); err == nil || !strings.Contains(err.Error(), "Multiple IDs") {
			t.Errorf("candidates cannot be listed: %v", err)
		}
	}
}

// TestResolveForbiddenProcess: a daemon in a container may see a process and not
// its namespace. That does not heal by itself, so nobody shall try again.
func TestResolveForbiddenProcess(t *testing.T) {
	w := populated(t)
	w.kernel.fail = &fs.PathError{Op: "open", Path: "/proc/42/ns/net", Err: fs.ErrPermission}
	_, err := w.Resolve(t.Context(), "pid:42", "", true)
	refusedWith(t, err, "OperationNotPermitted", "Target", "CAP_SYS_PTRACE")
	w.isUnknown("pid:42/4200") // one that is attached keeps its network
}

func TestResolveWithoutEngine(t *testing.T) {
	w := newWorld(t)
	_, err := w.Resolve(t.Context(), "docker:web", "", true)
	refusedWith(t, err, "UnsupportedOperation", "Target", "--docker-socket")

	must(t, os.WriteFile(w.engine.socket, nil, 0o600)) // something else is there
	_, err = w.Resolve(t.Context(), "docker:web", "", true)
	refusedWith(t, err, "Unavailable", "Target", "")
}

func TestResolveKernelFails(t *testing.T) {
	w := populated(t)
	w.kernel.fail = errors.New("EIO")
	for target, canonical := range map[string]string{
		"netns:x": "netns:x", "pid:42": "pid:42/4200", "docker:web": "docker:" + webID, "tap:t0": "tap:t0",
	} {
		_, err := w.Resolve(t.Context(), target, "", true)
		refusedWith(t, err, "Unavailable", "Target", "")
		w.isUnknown(canonical)
	}
	w.kernel.fail = fs.ErrPermission
	_, err := w.Resolve(t.Context(), "netns:x", "", true)
	refusedWith(t, err, "Unavailable", "Target", "")
}
