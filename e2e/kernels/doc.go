// Package kernels runs the tests of the data plane on the kernels that are
// supported: the oldest, Linux 6.1, and the long-term one after it, 6.12. Each
// is a Debian cloud kernel booted by QEMU (emulated, so no /dev/kvm is needed)
// with an initramfs that holds a small init, the kernel's own modules and the
// test binaries. Results come over the serial console.
//
//	VPC_KERNELS=1 go test -v ./e2e/kernels
//
// Where the kernels come from says package cloudkernel.
//
// Reviewers check: a kernel that does not boot, an init that dies and a test
// binary that says nothing are failures; what was skipped is printed.
package kernels
