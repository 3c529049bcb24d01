#include "drivers/dpdk/socket_path.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

namespace penstock {
namespace {

int unix_socket() {
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

sockaddr_un address(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  memcpy(out.sun_path, path.data(), std::min(path.size(), sizeof out.sun_path - 1));
  return out;
}

bool connect_to(int fd, const std::string& path) {
  const sockaddr_un to = address(path);
  return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

}  // namespace

bool somebody_listens(const std::string& path) {
  const int fd = unix_socket();
  const bool yes = fd >= 0 && connect_to(fd, path);
  close(fd);
  return yes;
}

std::string clear_socket_path(const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return "";
  if (!S_ISSOCK(found.st_mode)) return "exists and is not a socket; remove it or name another path";
  if (somebody_listens(path)) return "is in use by another process";
  if (unlink(path.c_str()) != 0) return std::string("cannot be removed: ") + strerror(errno);
  return "";
}

int close_sockets_at(const std::string& path) {
  std::vector<int> bound;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    const int fd = atoi(entry.path().filename().c_str());
    sockaddr_un at{};
    socklen_t length = sizeof at;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length) != 0) continue;
    if (at.sun_family == AF_UNIX &&
        path == std::string(at.sun_path, strnlen(at.sun_path, sizeof at.sun_path)))
      bound.push_back(fd);
  }
  for (const int fd : bound)
    close(fd);
  return static_cast<int>(bound.size());
}

int listen_at(const std::string& path) {
  const int fd = unix_socket();
  const sockaddr_un at = address(path);
  if (fd < 0) return -1;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 && listen(fd, 1) == 0) {
    return fd;
  }
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

}  // namespace penstock
