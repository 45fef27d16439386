// The peer of the example http_server for benches/http/run: Go's net/http. What both set is the same: the time for a head, for an
// answer, for the next request to begin. Go sets TCP_NODELAY and takes the system's limit for the listener's queue by itself.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// As in the example.
const greeting = "Hello from a green thread!\n"

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, greeting)
	})
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       60 * time.Second,
	}
	fmt.Printf("listening on http://%s/\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}
