package meter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Values of a namespace.
const (
	mounted   = "mounted"
	unmounted = "a name without a namespace"
)

// perNetns are the sources of one namespace, global those of the machine.
var (
	perNetns = []func(Dump, Scope, string) error{links, addresses, routes, rules, neighbours, fdb, nft, qdiscs, tcx, sysctls}
	global   = []func(Dump, Scope) error{pins, bpfObjects, mounts, unixSockets, listeners, processes, storeKeys}
)

func (s Scope) namespaces() (map[string]string, error) {
	entries, err := os.ReadDir(netns.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := map[string]string{}
	for _, e := range entries {
		if !s.Netns(e.Name()) {
			continue
		}
		out[e.Name()] = unmounted
		if netns.Exists(e.Name()) {
			out[e.Name()] = mounted
		}
	}
	return out, nil
}

// run runs a tool inside a namespace and returns what it prints.
func run(ns string, args ...string) ([]byte, error) {
	if ns != "" {
		args = append([]string{"nsenter", "--net=" + netns.Path(ns), "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.Bytes(), nil
}

// objects runs a tool that prints a JSON list, and removes the members that
// change by themselves.
func objects(ns string, volatile []string, args ...string) ([]map[string]any, error) {
	text, err := run(ns, args...)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	var list []map[string]any
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	list = slices.DeleteFunc(list, func(o map[string]any) bool { return len(o) == 0 })
	for _, o := range list {
		scrub(o, volatile)
	}
	return list, nil
}

func scrub(v any, volatile []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if slices.Contains(volatile, k) {
				delete(v, k)
				continue
			}
			scrub(inner, volatile)
		}
	case []any:
		for _, inner := range v {
			scrub(inner, volatile)
		}
	}
}

// text renders an object with its members in order.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// each puts every object of a list under a name made from some of its members;
// equal names are counted.
func (d Dump) each(kind, ns string, list []map[string]any, members ...string) {
	for _, o := range list {
		var name []string
		for _, m := range members {
			if v, ok := o[m]; ok {
				name = append(name, fmt.Sprint(v))
			}
		}
		d.add(Key{kind, ns, strings.Join(name, " ")}, text(o))
	}
}

// add keeps objects apart that have the same name.
func (d Dump) add(k Key, v string) {
	base := k.Name
	for n := 2; ; n++ {
		if _, taken := d[k]; !taken {
			d[k] = v
			return
		}
		k.Name = fmt.Sprintf("%s #%d", base, n)
	}
}

var linkVolatile = []string{"stats", "stats64", "ifindex", "link_index", "link_netnsid", "operstate", "flags",
	"hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "mcast_router", "forward_delay_timer",
	"message_age_timer", "hold_timer", "root_id", "bridge_id", "parentbus", "parentdev", "carrier_changes"}

func links(d Dump, _ Scope, ns string) error {
	list, err := objects(ns, nil, "ip", "-j", "-d", "link", "show")
	for _, o := range list {
		// The flags hold carrier and promiscuity, which come and go; up is set.
		up := slices.Contains(o["flags"].([]any), any("UP"))
		scrub(o, linkVolatile)
		o["up"] = up
	}
	d.each("link", ns, list, "ifname")
	return err
}

func addresses(d Dump, _ Scope, ns string) error {
	list, err := objects(ns, []string{"valid_life_time", "preferred_life_time", "tentative", "dynamic"}, "ip", "-j", "addr", "show")
	if err != nil {
		return err
	}
	for _, l := range list {
		infos, _ := l["addr_info"].([]any)
		for _, a := range infos {
			if a, ok := a.(map[string]any); ok && len(a) > 0 {
				d.add(Key{"address", ns, fmt.Sprint(l["ifname"], " ", a["local"])}, text(a))
			}
		}
	}
	return nil
}

func routes(d Dump, _ Scope, ns string) error {
	for _, family := range []string{"-4", "-6"} {
		list, err := objects(ns, []string{"expires", "flags", "cacheinfo"}, "ip", "-j", family, "route", "show", "table", "all")
		if err != nil {
			return err
		}
		d.each("route", ns, list, "table", "type", "dst", "dev", "gateway")
	}
	return nil
}

func rules(d Dump, _ Scope, ns string) error {
	for _, family := range []string{"-4", "-6"} {
		list, err := objects(ns, nil, "ip", "-j", family, "rule", "show")
		if err != nil {
			return err
		}
		d.each("rule", ns, list, "priority", "src", "dst", "fwmark", "table")
	}
	return nil
}

// neighbours lists only what somebody configured.
func neighbours(d Dump, _ Scope, ns string) error {
	list, err := objects(ns, nil, "ip", "-j", "neigh", "show", "nud", "permanent")
	if err != nil {
		return err
	}
	d.each("neighbour", ns, list, "dev", "dst")
	proxies, err := objects(ns, nil, "ip", "-j", "neigh", "show", "proxy")
	d.each("proxy neighbour", ns, proxies, "dev", "dst")
	return err
}

func fdb(d Dump, _ Scope, ns string) error {
	list, err := objects(ns, []string{"used", "updated"}, "bridge", "-j", "fdb", "show")
	d.each("fdb", ns, list, "ifname", "mac", "vlan", "dst")
	return err
}

func nft(d Dump, _ Scope, ns string) error {
	out, err := run(ns, "nft", "-j", "list", "ruleset")
	if err != nil {
		return err
	}
	var all struct{ Nftables []map[string]map[string]any }
	if err := json.Unmarshal(out, &all); err != nil {
		return err
	}
	for _, o := range all.Nftables {
		for kind, v := range o {
			if kind == "metainfo" {
				continue
			}
			scrub(v, []string{"packets", "bytes", "handle", "expires"})
			d.add(Key{"nft " + kind, ns, fmt.Sprint(v["family"], " ", v["table"], " ", v["chain"], " ", v["name"])}, text(v))
		}
	}
	return nil
}

func qdiscs(d Dump, _ Scope, ns string) error {
	list, err := objects(ns, []string{"refcnt"}, "tc", "-j", "qdisc", "show")
	if err != nil {
		return err
	}
	d.each("qdisc", ns, list, "dev", "kind", "handle", "parent")
	for _, q := range list {
		if kind := q["kind"]; kind != "clsact" && kind != "ingress" {
			continue
		}
		for _, side := range []string{"ingress", "egress"} {
			filters, err := objects(ns, []string{"id", "tag", "jited"}, "tc", "-j", "filter", "show", "dev", fmt.Sprint(q["dev"]), side)
			if err != nil {
				return err
			}
			d.each("tc filter "+side, ns, filters, "protocol", "pref", "kind", "chain")
		}
	}
	return nil
}

// tcx lists the programs at interfaces, by device and name.
func tcx(d Dump, _ Scope, ns string) error {
	list, err := objects(ns, []string{"ifindex", "prog_id", "id", "link_id"}, "bpftool", "-j", "net", "show")
	if err != nil {
		return err
	}
	for _, o := range list {
		for _, hook := range []string{"xdp", "tc"} {
			progs, _ := o[hook].([]any)
			for _, p := range progs {
				if p, ok := p.(map[string]any); ok {
					d.add(Key{"program at " + hook, ns, fmt.Sprint(p["devname"], " ", p["kind"], " ", p["name"])}, text(p))
				}
			}
		}
	}
	return nil
}

// watched are the settings that forwarding products change on hosts.
var watched = []string{"forwarding", "rp_filter", "accept_ra", "accept_redirects", "send_redirects", "proxy_arp",
	"proxy_ndp", "arp_ignore", "arp_announce", "route_localnet", "disable_ipv6", "addr_gen_mode"}

func sysctls(d Dump, _ Scope, ns string) error {
	return netns.Do(ns, func() error {
		files := []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/bridge/bridge-nf-call-iptables"}
		for _, name := range watched {
			// /proc/sys/net shows the namespace of the thread that reads it.
			found, err := filepath.Glob("/proc/sys/net/ipv[46]/conf/*/" + name)
			if err != nil {
				return err
			}
			files = append(files, found...)
		}
		for _, f := range files {
			v, err := os.ReadFile(f)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			// Some settings of IPv6 cannot be read in some states of a link.
			if err != nil && !errors.Is(err, fs.ErrInvalid) {
				v = []byte(err.Error())
			}
			d[Key{"sysctl", ns, strings.TrimPrefix(f, "/proc/sys/")}] = strings.TrimSpace(string(v))
		}
		return nil
	})
}
