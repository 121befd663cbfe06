package meter

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
)

// plantDaemon runs something that looks like a vpcd of the rig's host, whose
// store has the keys that the function gives.
func (r rig) plantDaemon(t *testing.T, keys func(w http.ResponseWriter)) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), r.host)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "backup.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { keys(w) })
	srv := &http.Server{Handler: mux}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })

	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	b, err := os.ReadFile(shell)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(r.scope.Bin, "vpcd")
	if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-c", "read line", "vpcd", "--data-dir", dir)
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hold.Close(); cmd.Wait() })
}

// TestRecordsThatStay are leaks, but for those that are meant to.
func TestRecordsThatStay(t *testing.T) {
	r := newRig(t)
	var created atomic.Bool
	r.plantDaemon(t, func(w http.ResponseWriter) {
		fmt.Fprintln(w, "vpc/vpc-1")
		if created.Load() {
			fmt.Fprint(w, "address/subnet-1/0a000105\ncounter/eni\nguard/vpc-2\nstatus/h1\ntombstone/vpc-2\ntoken/1/x/2\n")
		}
	})
	before := take(t, r.scope)
	if before[Key{"record", "", "vpc/vpc-1"}] == "" {
		t.Fatalf("the store is not seen")
	}
	created.Store(true)
	var got []string
	for _, c := range Compare(before, take(t, r.scope)) {
		got = append(got, c.Key.String())
	}
	if want := []string{"record address/subnet-1/0a000105", "record guard/vpc-2", "record token/1/x/2"}; !slices.Equal(got, want) {
		t.Errorf("left behind %v, want %v", got, want)
	}
}

// TestStoreThatDoesNotAnswer: a meter that sees nothing would find it clean.
func TestStoreThatDoesNotAnswer(t *testing.T) {
	r := newRig(t)
	r.plantDaemon(t, func(w http.ResponseWriter) { http.Error(w, "no", http.StatusInternalServerError) })
	if _, err := Take(r.scope); err == nil {
		t.Error("the dump is taken for complete")
	}
}

func TestDataDir(t *testing.T) {
	for want, args := range map[string][]string{
		"/a": {"vpcd", "--data-dir", "/a", "--name", "x"}, "/b": {"vpcd", "cleanup", "--data-dir=/b"}, "": {"vpcd", "--data-dir"},
	} {
		if got := dataDir(args); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}
