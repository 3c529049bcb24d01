#include <iostream>

#include "control/api/client.h"
#include "control/cli/cli.h"
#include "control/cli/interrupt.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  std::cin.tie(nullptr);
  penstock::cli::catch_interrupts();
  const int code = penstock::cli::run({argv + 1, argv + argc}, {std::cin, std::cout, std::cerr},
                                      penstock::open_api);
  std::cout.flush();
  return code;
}
