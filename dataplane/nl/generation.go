package nl

import (
	"encoding/binary"
	"errors"
	"fmt"

	vnl "github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Of nftables' netlink, which no package has names for.
const (
	getGeneration = 16 // NFT_MSG_GETGEN
	generationID  = 1  // NFTA_GEN_ID
)

// NFTGeneration is the number of the last change of any nftables table in the
// namespace at path, those of newer iptables included. Tables that cannot exist do
// not change: a kernel without nftables answers 0.
func NFTGeneration(path string) (n uint32, err error) {
	err = In(path, func() error {
		req := vnl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|getGeneration, 0)
		req.AddData(&vnl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: vnl.NFNETLINK_V0})
		msgs, err := req.Execute(unix.NETLINK_NETFILTER, 0)
		if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("generation of nftables in %s: %w", path, err)
		}
		for _, m := range msgs {
			if len(m) < vnl.SizeofNfgenmsg {
				return errors.New("short message of nftables")
			}
			if err := parseAttrs(m[vnl.SizeofNfgenmsg:], func(kind uint16, v []byte) {
				if kind == generationID && len(v) == 4 {
					n = binary.BigEndian.Uint32(v)
				}
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
