#include "tests/drivers/dpdk/peer.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace penstock {

std::string Peer::executable;

Peer::Peer(const std::string& port) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) return;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
  std::string program = executable, argument = port;
  char* argv[] = {program.data(), argument.data(), nullptr};
  if (posix_spawn(&pid_, program.c_str(), &files, nullptr, argv, environ) != 0) pid_ = -1;
  posix_spawn_file_actions_destroy(&files);
  close(in[0]);
  close(out[1]);
  to_ = in[1];
  char word[6];
  ready_ = pid_ > 0 && read(out[0], word, sizeof word) == 6;
  close(out[0]);
}

void Peer::stop() {
  if (pid_ > 0) ::kill(pid_, SIGSTOP);
}

void Peer::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  end();
}

int Peer::end() {
  if (to_ >= 0) close(to_);
  to_ = -1;
  int status = -1;
  if (pid_ > 0) waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace penstock
