#include <cstdio>
#include <penstock.hpp>

int main() {
  auto client = pen::Client::attach("watcher");
  auto subscriber = client->subscriber("grad.#");
  if (!subscriber) return std::puts(pen::last_error()), 1;
  for (pen::Message m; subscriber->recv(m) == PENSTOCK_OK; std::fflush(stdout))
    std::printf("%s: %zu bytes from %s, %lu missed\n", m.topic, m.len, m.publisher, m.gap_count);
}
