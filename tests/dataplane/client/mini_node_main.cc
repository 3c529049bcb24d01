// A MiniNode as a program, for tests in other languages: prints its socket, and lives until its
// standard input ends.
#include <cstdio>
#include <unistd.h>

#include "tests/dataplane/client/mini_node.h"

int main() {
  penstock::test::MiniNode node;
  std::puts(node.socket());
  std::fflush(stdout);
  char c = 0;
  while (read(STDIN_FILENO, &c, 1) > 0) {
  }
}
