package spec

// Firewall is the content of one nftables table of family ip, in the words and
// the layout of `nft list table`. It is text so that it can be compared, shown
// as drift and read by a person; dataplane/nft says which words it knows.
type Firewall string

// FirewallTable names the table of a host. Everything in it is ours, and nothing
// outside.
func FirewallTable(host string) string { return "vpc_" + host }
