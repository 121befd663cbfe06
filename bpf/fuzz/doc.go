// Package fuzz runs the programs' own C in user space, under the address and
// the undefined-behaviour sanitizer, and asks it much more than a kernel could
// be asked: any frame, any rule list. What it answers is compared with plain
// evaluators that are written here from the documents and know nothing of the C.
//
// harness.c includes from_eni.c as it is; shim/ and the headers beside it are
// the kernel's side. The tests compile it, so the package needs a C compiler
// with sanitizers and no root. Nothing imports it, and the product has no C.
package fuzz
