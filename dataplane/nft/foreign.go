package nft

import (
	"errors"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ForwardDrops names the chains in the namespace at path that drop what is
// forwarded unless a rule of theirs accepts it: "inet fw forward". What one chain
// drops no other can let through. The chain of iptables is not among them, for
// gateways have rules there. Without nftables there is none.
func ForwardDrops(path string) ([]string, error) {
	var out []string
	d := &Driver{netns: path}
	err := d.with(func(c *nftables.Conn) error {
		list, err := c.ListChains()
		if err != nil {
			return err
		}
		for _, ch := range list {
			if dropsForwarded(ch) {
				out = append(out, family(ch.Table.Family)+" "+ch.Table.Name+" "+ch.Name)
			}
		}
		return nil
	})
	if errors.Is(err, ErrUnsupported) || errors.Is(err, unix.EINVAL) {
		return nil, nil
	}
	slices.Sort(out)
	return out, err
}

func dropsForwarded(ch *nftables.Chain) bool {
	if ch.Hooknum == nil || *ch.Hooknum != *nftables.ChainHookForward || ch.Policy == nil || *ch.Policy != nftables.ChainPolicyDrop {
		return false
	}
	iptables := ch.Table.Family == nftables.TableFamilyIPv4 && ch.Table.Name == "filter" && ch.Name == "FORWARD"
	return family(ch.Table.Family) != "" && !iptables && !strings.HasPrefix(ch.Table.Name, "vpc_")
}

// family is the word for those that see forwarded IPv4.
func family(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyINet:
		return "inet"
	}
	return ""
}
