// SPDX-License-Identifier: Apache-2.0

// Package loopback finds addresses to listen on.
package loopback

import "net"

// FreeAddr gives a loopback address that nobody listens on. Somebody may, by the time it is used.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
