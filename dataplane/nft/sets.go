package nft

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
)

// elementType is what a set can hold, as text and as the kernel has it.
type elementType struct {
	read   func(word string) (string, error)
	show   func(element string) string
	key    func(element string) []byte
	value  func(key []byte) string
	kernel func(t *nftables.Table, name string) *nftables.Set
}

var setTypes = map[string]elementType{
	"ifname": {
		read: func(word string) (string, error) {
			e, err := strconv.Unquote(word)
			if err != nil || e == "" || len(ifname(e)) < len(e)+1 {
				return "", fmt.Errorf("not the name of a device")
			}
			return e, nil
		},
		show:  strconv.Quote,
		key:   ifname,
		value: func(key []byte) string { return strings.TrimRight(string(key), "\x00") },
		kernel: func(t *nftables.Table, name string) *nftables.Set {
			return &nftables.Set{Table: t, Name: name, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
		},
	},
	"ipv4_addr": {
		read: func(word string) (string, error) {
			a, err := netip.ParseAddr(word)
			if err != nil || !a.Is4() {
				return "", fmt.Errorf("not an IPv4 address")
			}
			return a.String(), nil
		},
		show: func(element string) string { return element },
		key:  func(element string) []byte { return netip.MustParseAddr(element).AsSlice() },
		value: func(key []byte) string {
			a, _ := netip.AddrFromSlice(key)
			return a.String()
		},
		kernel: func(t *nftables.Table, name string) *nftables.Set {
			return &nftables.Set{Table: t, Name: name, KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian}
		},
	},
}

// setType is the word for what a set of the kernel holds; empty for what has none
// here.
func setType(s *nftables.Set) string {
	switch s.KeyType.GetNFTMagic() {
	case nftables.TypeIFName.GetNFTMagic():
		return "ifname"
	case nftables.TypeIPAddr.GetNFTMagic():
		return "ipv4_addr"
	}
	return ""
}
