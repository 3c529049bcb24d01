#include "control/cli/child.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/cli/exit.h"

namespace penstock::cli {

namespace {

std::vector<char*> argv_of(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  return argv;
}

}  // namespace

int run_child(const std::vector<std::string>& command, const std::string& output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, output.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int error = posix_spawnp(&child, command.front().c_str(), &files, nullptr,
                                 argv_of(command).data(), environ);
  posix_spawn_file_actions_destroy(&files);
  int status = 0;
  if (error != 0) return 127;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string daemon_program() {
  std::error_code none;
  const auto beside =
      std::filesystem::read_symlink("/proc/self/exe", none).replace_filename("penstockd");
  return access(beside.c_str(), X_OK) == 0 ? beside.string() : "penstockd";
}

void become_daemon(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"penstockd"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  execvp(daemon_program().c_str(), argv_of(command).data());
  throw Failure(Exit::kFailed, std::string("penstockd: ") + std::strerror(errno) +
                                   "; it is neither beside penstock nor in PATH");
}

}  // namespace penstock::cli
