package nft

import (
	"os"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/gateways"
)

func natTable(addrs spec.Addrs) map[string]spec.Firewall {
	return gateways.NATTable("t", addrs, gateways.DefaultNAT())
}

// TestTranslationMeansWhatNftSays: what nft(8) makes of the text is what this
// package makes of it.
func TestTranslationMeansWhatNftSays(t *testing.T) {
	for _, addrs := range []spec.Addrs{"10.0.1.5", "10.0.1.5,10.0.1.6,10.0.1.17"} {
		path := namespace(t)
		d := OpenInside(path, "t")
		want := natTable(addrs)
		file := t.TempDir() + "/table.nft"
		must(t, os.WriteFile(file, []byte(want["vpc_t"]), 0o600))
		nft(t, path, "include \""+file+"\"")
		got, err := d.Observe(ctx, want)
		must(t, err)
		if got["vpc_t"] != want["vpc_t"] {
			t.Errorf("what nft wrote reads as\n%s", got["vpc_t"])
		}
		nft(t, path, "flush ruleset")
		converge(t, d, want)
		for _, script := range []string{
			"delete element ip vpc_t addresses { 10.0.1.5 }",
			"add element ip vpc_t addresses { 10.0.1.99 }",
			"add counter ip vpc_t more",
			"add quota ip vpc_t more { over 1 mbytes }",
			"chain ip vpc_t forward { policy accept; }",
			"flush chain ip vpc_t translate; add rule ip vpc_t translate ip protocol tcp snat to 10.0.1.5:1024-65535",
			"flush chain ip vpc_t leave",
		} {
			nft(t, path, script)
			if got, err := d.Observe(ctx, want); err != nil || got["vpc_t"] == want["vpc_t"] {
				t.Errorf("%s: not seen, %v", script, err)
			}
			converge(t, d, want)
		}
	}
}

// TestCountersGoOn: a table that is replaced counts on.
func TestCountersGoOn(t *testing.T) {
	path := namespace(t)
	d := OpenInside(path, "t")
	if got, err := d.Counters(ctx); err != nil || len(got) != 0 {
		t.Errorf("without a table: %v, %v", got, err)
	}
	converge(t, d, natTable("10.0.1.5"))
	run(t, path, "ip link set lo up")
	ask(path, "127.0.0.1:9", refused) // input of the gateway itself
	before, err := d.Counters(ctx)
	must(t, err)
	unsolicited := before[gateways.Unsolicited]
	if unsolicited.Packets == 0 || unsolicited.Bytes < 40*unsolicited.Packets {
		t.Fatalf("counted %v", before)
	}
	converge(t, d, natTable("10.0.1.5,10.0.1.6"))
	after, err := d.Counters(ctx)
	must(t, err)
	if after[gateways.Unsolicited].Packets < unsolicited.Packets {
		t.Errorf("%v after %v", after, before)
	}
}

func TestTranslationsThatAreRefused(t *testing.T) {
	good := string(natTable("10.0.1.5,10.0.1.6")["vpc_t"])
	if _, err := parse(spec.Firewall(good)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"counted":      {"packets 0 bytes 0", "packets 1 bytes 9"},
		"no counter":   {`counter name "forgotten"`, `counter name "nosuch"`},
		"bare counter": {`counter name "forgotten"`, "counter"},
		"set":          {"ip saddr @addresses", "ip saddr @nosuch"},
		"element":      {"10.0.1.5", "fd00::5"},
		"quoted":       {"{ 10.0.1.5", `{ "10.0.1.5"`},
		"set as names": {"ip saddr @addresses", "iifname @addresses"},
		"protocol":     {"ip protocol tcp", "ip protocol gre"},
		"fragment":     {"16383", "8191"},
		"flags":        {"tcp flags ! rst", "tcp flags ! fin"},
		"type":         {"echo-request", "timestamp-request"},
		"direction":    {"ct direction reply", "ct direction both"},
		"modulus":      {"mod 2", "mod 1"},
		"seed":         {"seed 0x76", "seed 0x0"},
		"part":         {"seed 0x76 1", "seed 0x76 2"},
		"port":         {"1024-65535", "65535-1024"},
		"ports":        {":1024-65535", ":1024"},
		"no ports":     {":1024-65535", ""},
		"random":       {"fully-random", "random"},
		"address":      {"snat to 10.0.1.5", "snat to x"},
		"reject":       {"with tcp reset", "with icmp"},
		"priority":     {"-450", "-451"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := parse(spec.Firewall(bad)); err == nil {
			t.Errorf("%s: accepted\n%s", name, bad)
		}
	}
}
