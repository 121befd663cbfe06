package service

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/seal"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// withKeys gives a bench access keys and an address for EC2 clients.
func withKeys(c *Config) {
	c.EC2Endpoint = "http://127.0.0.1:4000"
	c.Region = "local-7"
}

// newSealedBench is a bench whose seal key lies in a file of the test.
func newSealedBench(t testing.TB, edit ...func(*Config)) *bench {
	t.Helper()
	box := newSeal(t)
	return newBench(t, append([]func(*Config){withKeys, func(c *Config) { c.Seal = box }}, edit...)...)
}

func newSeal(t testing.TB) *seal.Box {
	t.Helper()
	box, err := seal.Open(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func (b *bench) accessKey(name string) *api.AccessKey {
	b.t.Helper()
	return do[api.CreateAccessKeyResult](b, &api.CreateAccessKeyRequest{Name: name}).AccessKey
}

func TestAnAccessKeysLife(t *testing.T) {
	b := newSealedBench(t)
	key := b.accessKey("ci")
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(key.AccessKeyId) || len(key.SecretAccessKey) != 40 {
		t.Errorf("clients would not take %q with a secret of %d characters", key.AccessKeyId, len(key.SecretAccessKey))
	}
	if key.Name != "ci" || key.AccountId != alice.Account || !key.CreateTime.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("made %+v", key)
	}
	have, err := b.AccessKey(t.Context(), key.AccessKeyId)
	if want := (AccessKey{key.AccessKeyId, key.SecretAccessKey, alice.Account, "ci"}); err != nil || have != want {
		t.Errorf("a wire finds %+v, %v", have, err)
	}
	listed := do[api.DescribeAccessKeysResult](b, &api.DescribeAccessKeysRequest{})
	key.SecretAccessKey = ""
	if len(listed.AccessKeys) != 1 || fmt.Sprint(listed.AccessKeys[0].CreateTime) != fmt.Sprint(key.CreateTime) || listed.AccessKeys[0].SecretAccessKey != "" || listed.AccessKeys[0].AccessKeyId != key.AccessKeyId {
		t.Errorf("listed as %+v", listed.AccessKeys)
	}
	do[api.DeleteAccessKeyResult](b, &api.DeleteAccessKeyRequest{AccessKeyId: key.AccessKeyId})
	_, err = b.AccessKey(t.Context(), key.AccessKeyId)
	refused(t, err, "AuthFailure", "")
	_, _, err = b.call(alice, "DeleteAccessKey", &api.DeleteAccessKeyRequest{AccessKeyId: key.AccessKeyId})
	refused(t, err, "InvalidAccessKeyId.NotFound", "AccessKeyId")
}

// TestNoSecretIsStored looks at all that a backup would contain.
func TestNoSecretIsStored(t *testing.T) {
	b := newSealedBench(t)
	secrets := []string{b.accessKey("ci").SecretAccessKey, do[api.GetEnvironmentResult](b, &api.GetEnvironmentRequest{}).SecretAccessKey}
	for key, rec := range store.List[any](b.store.Snapshot(), record.Root) {
		text, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if strings.Contains(key+string(text), secret) {
				t.Errorf("%s has the secret in it: %s", key, text)
			}
		}
	}
}

func TestRefusedAccessKeys(t *testing.T) {
	b := newSealedBench(t, func(c *Config) { c.Limits = map[string]int64{"access-keys": 2} })
	b.accessKey("one")
	for _, tt := range []struct{ name, code, field string }{
		{"", "MissingParameter", "Name"},
		{"one", "InvalidAccessKey.Duplicate", "Name"},
		{"AKIAX", "InvalidParameterValue", "Name"},
		{"a\nb", "InvalidParameterValue", "Name"},
		{strings.Repeat("x", 256), "InvalidParameterValue", "Name"},
	} {
		b.unchanged(t, func() {
			_, _, err := b.call(alice, "CreateAccessKey", &api.CreateAccessKeyRequest{Name: tt.name})
			refused(t, err, tt.code, tt.field)
		})
	}
	b.accessKey("two")
	_, _, err := b.call(alice, "CreateAccessKey", &api.CreateAccessKeyRequest{Name: "three"})
	refused(t, err, "AccessKeyLimitExceeded", "")
	_, _, err = b.call(alice, "GetEnvironment", &api.GetEnvironmentRequest{})
	refused(t, err, "AccessKeyLimitExceeded", "")
	// The quota and the names are an account's own.
	if _, _, err = b.call(bob, "CreateAccessKey", &api.CreateAccessKeyRequest{Name: "one"}); err != nil {
		t.Error(err)
	}
}

func TestAccessKeysOfAnotherAccount(t *testing.T) {
	b := newSealedBench(t)
	key := b.accessKey("ci")
	res, _, err := b.call(bob, "DescribeAccessKeys", &api.DescribeAccessKeysRequest{})
	if err != nil || len(res.(*api.DescribeAccessKeysResult).AccessKeys) != 0 {
		t.Errorf("bob sees %+v, %v", res, err)
	}
	_, _, err = b.call(bob, "DescribeAccessKeys", &api.DescribeAccessKeysRequest{AccessKeyIds: []string{key.AccessKeyId}})
	refused(t, err, "InvalidAccessKeyId.NotFound", "AccessKeyIds.0")
	_, _, err = b.call(bob, "DeleteAccessKey", &api.DeleteAccessKeyRequest{AccessKeyId: key.AccessKeyId})
	refused(t, err, "InvalidAccessKeyId.NotFound", "AccessKeyId")
	if _, err := b.AccessKey(t.Context(), key.AccessKeyId); err != nil {
		t.Error(err)
	}
}

func TestPagesOfAccessKeys(t *testing.T) {
	b := newSealedBench(t)
	var made, seen []string
	for i := range 12 {
		made = append(made, b.accessKey(fmt.Sprint("key", i)).AccessKeyId)
	}
	slices.Sort(made)
	req := &api.DescribeAccessKeysRequest{MaxResults: api.Ptr(int32(5))}
	for range 3 {
		res := do[api.DescribeAccessKeysResult](b, req)
		for _, k := range res.AccessKeys {
			seen = append(seen, k.AccessKeyId)
		}
		req.NextToken = res.NextToken
	}
	if !slices.Equal(seen, made) || req.NextToken != "" {
		t.Errorf("three pages have %v, then %q; made were %v", seen, req.NextToken, made)
	}
	req = &api.DescribeAccessKeysRequest{AccessKeyIds: []string{made[3], made[1], made[3]}}
	if have := do[api.DescribeAccessKeysResult](b, req).AccessKeys; len(have) != 2 || have[0].AccessKeyId != made[1] {
		t.Errorf("asked for two keys, got %+v", have)
	}
}

func TestTheEnvironmentIsTheSameEachTime(t *testing.T) {
	b := newSealedBench(t)
	b.unchanged(t, func() {
		_, _, err := b.call(alice, "GetEnvironment", &api.GetEnvironmentRequest{DryRun: api.Ptr(true)})
		refused(t, err, "DryRunOperation", "")
	})
	first := do[api.GetEnvironmentResult](b, &api.GetEnvironmentRequest{})
	if first.EndpointUrl != "http://127.0.0.1:4000" || first.Region != "local-7" || first.AccessKeyId == "" || len(first.SecretAccessKey) != 40 {
		t.Errorf("the environment is %+v", first)
	}
	if again := do[api.GetEnvironmentResult](b, &api.GetEnvironmentRequest{}); *again != *first {
		t.Errorf("then it is %+v, it was %+v", again, first)
	}
	other, _, err := b.call(bob, "GetEnvironment", &api.GetEnvironmentRequest{})
	if err != nil || other.(*api.GetEnvironmentResult).AccessKeyId == first.AccessKeyId {
		t.Errorf("bob has %+v, %v", other, err)
	}
	if key, err := b.AccessKey(t.Context(), first.AccessKeyId); err != nil || key.Name != "env" || key.Account != alice.Account {
		t.Errorf("the key is %+v, %v", key, err)
	}
}

func TestOneEnvironmentKeyForManyAtOnce(t *testing.T) {
	b := newSealedBench(t)
	got := together(8, func(int) error {
		_, _, err := b.call(alice, "GetEnvironment", &api.GetEnvironmentRequest{})
		return err
	})
	if keys := do[api.DescribeAccessKeysResult](b, &api.DescribeAccessKeysRequest{}).AccessKeys; got[""] != 8 || len(keys) != 1 {
		t.Errorf("answers %v made the keys %+v", got, keys)
	}
}

func TestWithoutAWireOrASeal(t *testing.T) {
	b := newSealedBench(t, func(c *Config) { c.EC2Endpoint = "" })
	_, _, err := b.call(alice, "GetEnvironment", &api.GetEnvironmentRequest{})
	if e := refused(t, err, "UnsupportedOperation", ""); !strings.Contains(e.Message, "--ec2-listen") || api.ExitCode(e.Code) != api.ExitRefused {
		t.Errorf("it ends with %d: %s", api.ExitCode(e.Code), e.Message)
	}
	bare := newBench(t, withKeys)
	for _, req := range []any{&api.CreateAccessKeyRequest{Name: "x"}, &api.DescribeAccessKeysRequest{}, &api.DeleteAccessKeyRequest{AccessKeyId: "x"}, &api.GetEnvironmentRequest{}} {
		_, _, err := bare.call(alice, actionOf(req), req)
		refused(t, err, "UnsupportedOperation", "")
	}
	_, err = bare.AccessKey(t.Context(), "AKIA")
	refused(t, err, "UnsupportedOperation", "")
}

// TestALostSealKey: the keys cannot be used any more, everybody is told why,
// and they can be listed, deleted and made anew.
func TestALostSealKey(t *testing.T) {
	b := newSealedBench(t, func(c *Config) { c.HostName = "h1" })
	key, env := b.accessKey("ci"), do[api.GetEnvironmentResult](b, &api.GetEnvironmentRequest{})
	b.seal = newSeal(t)
	_, err := b.AccessKey(t.Context(), key.AccessKeyId)
	if e := refused(t, err, "AuthFailure", ""); !strings.Contains(e.Message, "seal.key") || !strings.Contains(e.Message, key.AccessKeyId) {
		t.Errorf("nobody would know what to do: %s", e.Message)
	}
	_, _, err = b.call(alice, "GetEnvironment", &api.GetEnvironmentRequest{})
	if e := refused(t, err, "IncorrectState", ""); !strings.Contains(e.Message, "seal.key") || !strings.Contains(e.Hint, env.AccessKeyId) {
		t.Errorf("nobody would know what to do: %s (%s)", e.Message, e.Hint)
	}
	fresh := b.accessKey("fresh")
	for _, k := range do[api.DescribeAccessKeysResult](b, &api.DescribeAccessKeysRequest{}).AccessKeys {
		if lost := strings.Contains(k.Problem, "seal.key"); lost != (k.AccessKeyId != fresh.AccessKeyId) {
			t.Errorf("listed as %+v", k)
		}
	}
	b.report("h1", 1)
	if h := do[api.DescribeHostsResult](b, &api.DescribeHostsRequest{}).Hosts[0]; b.LostKeys() != 2 || !*h.Ready || len(h.Reasons) != 1 || !strings.Contains(h.Reasons[0], "2 access keys") {
		t.Errorf("%d keys are lost; host %+v", b.LostKeys(), h)
	}
	do[api.DeleteAccessKeyResult](b, &api.DeleteAccessKeyRequest{AccessKeyId: env.AccessKeyId})
	if again := do[api.GetEnvironmentResult](b, &api.GetEnvironmentRequest{}); again.AccessKeyId == env.AccessKeyId {
		t.Error("the old key came back")
	}
}

// TestSwappedSecretsDoNotOpen: who can write to the store cannot give one key
// the secret of another, nor one account the key of another.
func TestSwappedSecretsDoNotOpen(t *testing.T) {
	b := newSealedBench(t)
	one, two := b.accessKey("one"), b.accessKey("two")
	first, _ := store.Get[*record.AccessKey](b.store.Snapshot(), record.AccessKeys+one.AccessKeyId)
	swapped, stolen := *first, *first
	swapped.AccessKeyId = two.AccessKeyId
	b.put(record.AccessKeys+two.AccessKeyId, &swapped)
	stolen.OwnerId = bob.Account
	b.put(record.AccessKeys+one.AccessKeyId, &stolen)
	b.put(record.AccessKeys+"AKIACOPY", first)
	for _, id := range []string{one.AccessKeyId, two.AccessKeyId, "AKIACOPY"} {
		key, err := b.AccessKey(t.Context(), id)
		refused(t, err, "AuthFailure", "")
		if key != (AccessKey{}) {
			t.Errorf("beside the error comes %+v", key)
		}
	}
}

func TestUnknownAccessKeys(t *testing.T) {
	b := newSealedBench(t)
	b.accessKey("ci")
	for _, id := range []string{"", "AKIA", "../vpc/vpc-1", "\x00", "\u202e", strings.Repeat("A", 1<<20)} {
		_, err := b.AccessKey(t.Context(), id)
		refused(t, err, "AuthFailure", "")
	}
}

func BenchmarkAccessKey(b *testing.B) {
	bench := newSealedBench(b)
	id := bench.accessKey("ci").AccessKeyId
	for b.Loop() {
		if _, err := bench.AccessKey(context.Background(), id); err != nil {
			b.Fatal(err)
		}
	}
}
