// Package cloudkernel gets a Debian cloud kernel to boot in a virtual machine,
// with the modules that it takes in the order in which they load.
//
// Packages are fetched once with apt-get download and kept in
// $XDG_CACHE_HOME/vpc-test, or /var/cache/vpc-test. Where the configured
// sources do not offer a kernel, put its linux-image-VERSION-cloud-amd64 .deb
// there by hand.
package cloudkernel
