// The smallest programs: a publisher, and a subscriber that gets what it sends.
#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/dataplane/client/mini_node.h"

namespace penstock::test {
namespace {

pid_t start(const char* program, int out) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  std::string name = program;
  std::array<char*, 2> argv{name.data(), nullptr};
  pid_t pid = -1;
  EXPECT_EQ(posix_spawn(&pid, program, &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

int status_of(pid_t pid) {
  int status = -1;
  waitpid(pid, &status, 0);
  return status;
}

TEST(Examples, SubscriberPrintsWhatPublisherSends) {
  MiniNode node;
  setenv("PENSTOCK_SOCKET", node.socket(), 1);
  int out[2];
  ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
  const pid_t subscriber = start(EXAMPLE_SUBSCRIBER, out[1]);
  ASSERT_GT(subscriber, 0);
  while (node.subscriptions() == 0)
    usleep(1000);
  EXPECT_EQ(status_of(start(EXAMPLE_PUBLISHER, out[1])), 0);
  char line[200] = {};
  EXPECT_GT(read(out[0], line, sizeof line - 1), 0);
  EXPECT_STREQ(line, "grad.layer3.w: 12 bytes from trainer, 0 missed\n");
  node.die();
  EXPECT_EQ(status_of(subscriber), 0);
  EXPECT_NE(status_of(start(EXAMPLE_PUBLISHER, out[1])), 0);
  unsetenv("PENSTOCK_SOCKET");
  close(out[0]);
  close(out[1]);
}

}  // namespace
}  // namespace penstock::test
