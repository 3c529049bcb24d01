// Listener: the Unix socket on which clients attach. SEQPACKET, non-blocking.
#pragma once

#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "control/attach/session.h"
#include "dataplane/base/fd.h"

namespace penstock {

class Listener {
 public:
  struct Options {
    std::string path;
    std::string group;     // owner group of the socket; empty: the daemon's own
    unsigned mode = 0660;  // who may connect is who may write here
  };

  // Binds and listens. A socket file that nobody answers on is left over from a killed node and is
  // replaced; one that answers belongs to a node that runs. The error names path and remedy.
  static tl::expected<Listener, std::string> open(const Options& options);

  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) noexcept = default;
  // Removes the socket file.
  ~Listener();

  int fd() const { return socket_.get(); }
  // The next client, or null.
  std::unique_ptr<Session> accept();

 private:
  Listener(Fd socket, std::string path) : socket_(std::move(socket)), path_(std::move(path)) {}

  Fd socket_;
  std::string path_;
};

}  // namespace penstock
