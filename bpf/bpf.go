// Package bpf holds the eBPF programs of the data plane: one object per attach
// role, one stage per header under lib. The compiled objects are committed, so
// building needs no clang; DESIGN.md tells a packet's way.
package bpf

//go:generate go tool bpf2go -tags linux -target bpfel -cc clang-14 -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu" -type port -type policy -type port_stats -type flow_usage -type endpoint_key -type endpoint -type membership -type route_key -type route -type list_key -type list -type rule_word -type addr_segment -type addr_chunk -type service_chunk -type member_key -type member -type bitmap -type hit_key -type hit_count -type hit_kind -type frag_table -type denied_table -type flow_key -type flow -type flow_slot -type host_state -type drop_key -type drop_count -type drop_stage -type drop_reason -type port_flags -type flow_state -type flow_flags -type flow_seen -type list_flags -type route_target -type public_address -type public_flags -type filter_key -type filter_verdict FromEni from_eni.c
//go:generate go tool bpf2go -no-global-types -tags linux -target bpfel -cc clang-14 -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu" FromPeer from_peer.c
//go:generate go tool bpf2go -no-global-types -tags linux -target bpfel -cc clang-14 -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu" FromEdge from_edge.c
//go:generate go tool bpf2go -no-global-types -tags linux -target bpfel -cc clang-14 -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu" -type uplink FromUplink from_uplink.c
//go:generate go tool bpf2go -no-global-types -tags linux -target bpfel -cc clang-14 -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu" -type sweep_args -type cut_args -type adopt_args Sweep sweep.c
