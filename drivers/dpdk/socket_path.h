// Unix socket paths that a port is to make.
#pragma once

#include <string>

namespace penstock {

// Whether somebody listens there now. Leaves a connection that is closed at once.
bool somebody_listens(const std::string& path);

// Removes the socket that a dead process left. What stands in the way, as the end of a sentence
// that begins with the path, or an empty string.
std::string clear_socket_path(const std::string& path);

// Closes every socket of this process that is bound there, and returns how many.
int close_sockets_at(const std::string& path);

// Binds and listens: the descriptor, or -1 and errno.
int listen_at(const std::string& path);

}  // namespace penstock
