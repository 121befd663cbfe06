package vpcd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// dump is what a stopped daemon's store holds, apart from what hosts report.
func dump(t *testing.T, dataDir string) map[string]string {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Dir: filepath.Join(dataDir, "store"), Decode: record.Decode})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	out := map[string]string{}
	for key, v := range store.List[any](st.Snapshot(), record.Root) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(key, record.Statuses) {
			out[key] = string(text)
		}
	}
	return out
}

// TestKeys: the socket for copies lists the records of a daemon that runs; what
// is deleted leaves none of its own there.
func TestKeys(t *testing.T) {
	d := start(t, config(t))
	keys := func() []string {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialBackup(ctx, d.DataDir)
		}}}
		resp, err := c.Get("http://vpcd/keys")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(text))
	}
	subnet := d.subnet(t)
	vpc := do[api.DescribeSubnetsRequest, api.DescribeSubnetsResult](t, d, "DescribeSubnets", api.DescribeSubnetsRequest{SubnetIds: []string{subnet}}).Subnets[0].VpcId
	if got := keys(); !slices.Contains(got, "vpc/"+vpc) || !slices.Contains(got, "subnet/"+subnet) {
		t.Fatalf("keys %q", got)
	}
	do[api.DeleteSubnetRequest, api.DeleteSubnetResult](t, d, "DeleteSubnet", api.DeleteSubnetRequest{SubnetId: subnet})
	do[api.DeleteVpcRequest, api.DeleteVpcResult](t, d, "DeleteVpc", api.DeleteVpcRequest{VpcId: vpc})
	for _, key := range keys() {
		if kind, _, _ := strings.Cut(key, "/"); kind != "counter" && kind != "status" && kind != "tombstone" {
			t.Errorf("left behind: %s", key)
		}
	}
}

// TestBackupRestore: copies of a running and of a stopped daemon hold the same
// records, and a daemon runs on what is restored from them.
func TestBackupRestore(t *testing.T) {
	cfg := config(t)
	dir := t.TempDir()
	d := start(t, cfg)
	d.attach(t, d.subnet(t))
	running, stopped := filepath.Join(dir, "running"), filepath.Join(dir, "stopped")
	if err := Backup(t.Context(), cfg.DataDir, running); err != nil {
		t.Fatal(err)
	}
	d.stop(t)
	if err := Backup(t.Context(), cfg.DataDir, stopped); err != nil {
		t.Fatal(err)
	}
	want := dump(t, cfg.DataDir)
	if len(want) < 5 {
		t.Fatalf("the store holds only %v", want)
	}
	for _, file := range []string{running, stopped} {
		into := file + "-restored"
		if err := Restore(t.Context(), file, into); err != nil {
			t.Fatal(err)
		}
		have := dump(t, into)
		for key := range want {
			if strings.HasPrefix(key, record.Counters) != (have[key] != want[key]) && key != record.Counters+"vni" {
				t.Errorf("restored from %s: %s is %s, was %s: records come back as they were, and sequences skip ahead", file, key, have[key], want[key])
			}
		}
		if len(have) != len(want) {
			t.Errorf("restored from %s: %d records, want %d", file, len(have), len(want))
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v: others can read it", file, info.Mode(), err)
		}
	}
	cfg.DataDir = running + "-restored"
	d = start(t, cfg)
	d.settle(t)
	if h := d.host(t); *h.Workloads != 1 || !*h.Ready {
		t.Errorf("host on the restored store: %+v", h)
	}
}

func TestBackupRefused(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(dir, "fresh")
	for name, tt := range map[string]struct{ data, file string }{
		"file exists":    {dir, there},
		"no such folder": {dir, filepath.Join(dir, "no", "copy")},
		"no store":       {dir, fresh},
		"no data":        {filepath.Join(dir, "nothing"), fresh},
	} {
		if err := Backup(t.Context(), tt.data, tt.file); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, _ := os.ReadFile(there); string(text) != "mine" {
		t.Errorf("the file is now %q", text)
	}
	absent(t, fresh, filepath.Join(dir, "nothing"), filepath.Join(dir, "store"))
}

func TestRestoreRefused(t *testing.T) {
	cfg := config(t)
	d := start(t, cfg)
	d.subnet(t)
	dir := t.TempDir()
	copied := filepath.Join(dir, "copy")
	if err := Backup(t.Context(), cfg.DataDir, copied); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), copied, cfg.DataDir); !errors.Is(err, ErrRefused) {
		t.Errorf("over a running daemon's store: %v", err)
	}
	d.stop(t)
	before := dump(t, cfg.DataDir)
	if err := Restore(t.Context(), copied, cfg.DataDir); !errors.Is(err, ErrRefused) {
		t.Errorf("over an existing store: %v", err)
	}
	if after := dump(t, cfg.DataDir); !maps.Equal(before, after) {
		t.Error("a refused restore changed the store")
	}
	text, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"half": text[:len(text)/2], "empty": nil, "other": []byte("no store at all"), "flipped": flip(text),
	} {
		file, into := filepath.Join(dir, name), filepath.Join(dir, name+"-data")
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Restore(t.Context(), file, into); !errors.Is(err, ErrRefused) {
			t.Errorf("%s copy: %v", name, err)
		}
		absent(t, into)
	}
	if err := Restore(t.Context(), filepath.Join(dir, "missing"), filepath.Join(dir, "data")); !errors.Is(err, ErrRefused) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing copy: %v", err)
	}
	absent(t, filepath.Join(dir, "data"))
}

func flip(in []byte) []byte {
	out := slices.Clone(in)
	out[len(out)/2] ^= 1
	return out
}

// TestCleanup: nothing is taken from under a daemon or a workload, and what is
// taken is taken whole.
func TestCleanup(t *testing.T) {
	cfg := config(t)
	d := start(t, cfg)
	d.attach(t, d.subnet(t))
	options := CleanupOptions{Name: cfg.Name, DataDir: cfg.DataDir}
	refuses := func(o CleanupOptions, words ...string) {
		t.Helper()
		done, err := Cleanup(t.Context(), o)
		if !errors.Is(err, ErrRefused) || len(done.Removed) != 0 || done.Purged {
			t.Fatalf("%+v, %v", done, err)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not name %q", err, w)
			}
		}
	}
	refuses(options, cfg.Name, "stop it first", cfg.DataDir)
	forced := options
	forced.Force = true
	refuses(forced, "stop it first")
	d.host(t)
	d.stop(t)
	refuses(options, "1 workloads", "eni-", "--force")
	attached, err := dataplane.Attached(t.Context(), cfg.Name)
	if err != nil || len(attached) != 1 {
		t.Fatalf("after a refusal %v, %v are attached", attached, err)
	}
	if done, err := Cleanup(t.Context(), forced); err != nil || !slices.Equal(done.Removed, []string{cfg.Name}) {
		t.Fatalf("%+v, %v", done, err)
	}
	absent(t, filepath.Join(runDir, cfg.Name+".lock"))
	if hosts, err := dataplane.Hosts(); err != nil || slices.Contains(hosts, cfg.Name) {
		t.Errorf("the kernel still knows %v, %v", hosts, err)
	}
	if _, err := os.Stat(cfg.DataDir); err != nil {
		t.Errorf("the store went as well: %v", err)
	}
	// A daemon brings it all back from the store.
	d = start(t, cfg)
	d.settle(t)
	if h := d.host(t); *h.Workloads != 1 || !*h.Ready {
		t.Errorf("host %+v", h)
	}
	d.stop(t)
	forced.PurgeData = true
	if _, err := Cleanup(t.Context(), forced); err != nil {
		t.Fatal(err)
	}
	absent(t, cfg.DataDir)
}

// TestCleanupEach: of several hosts those go whose daemon does not run. It
// names its hosts, because others may work on this machine.
func TestCleanupEach(t *testing.T) {
	running, stopped := start(t, config(t)), start(t, config(t))
	stopped.settle(t)
	stopped.stop(t)
	done, err := cleanupEach(t.Context(), []string{running.Name, stopped.Name}, CleanupOptions{All: true})
	if !slices.Equal(done.Removed, []string{stopped.Name}) || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), running.Name) {
		t.Errorf("%+v, %v", done, err)
	}
	hosts, err := dataplane.Hosts()
	if err != nil || !slices.Contains(hosts, running.Name) || slices.Contains(hosts, stopped.Name) {
		t.Errorf("hosts %v, %v", hosts, err)
	}
	running.host(t)
}

// TestPurgeOfAnother: the name is a mistake, the data directory somebody's.
func TestPurgeOfAnother(t *testing.T) {
	d, other := start(t, config(t)), config(t)
	_, err := Cleanup(t.Context(), CleanupOptions{Name: other.Name, DataDir: d.DataDir, PurgeData: true})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), d.DataDir) {
		t.Errorf("purged under a daemon: %v", err)
	}
	d.subnet(t)
}

func TestCleanupOfNothing(t *testing.T) {
	cfg := config(t)
	for range 2 {
		done, err := Cleanup(context.Background(), CleanupOptions{Name: cfg.Name, DataDir: cfg.DataDir, PurgeData: true})
		if err != nil || len(done.Removed) != 0 || !slices.Equal(done.Absent, []string{cfg.Name}) || done.Purged {
			t.Errorf("%+v, %v", done, err)
		}
	}
	if _, err := Cleanup(t.Context(), CleanupOptions{Name: "../etc"}); !errors.Is(err, ErrRefused) {
		t.Errorf("a name that is a path: %v", err)
	}
}
