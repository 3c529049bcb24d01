#include <cstdio>
#include <penstock.hpp>

int main() {
  auto client = pen::Client::attach("trainer");
  auto publisher = client->publisher();
  auto topic = publisher->topic("grad.layer3.w");
  if (!topic) return std::puts(pen::last_error()), 1;
  const float gradient[] = {0.25f, -1.5f, 3.0f};
  return publisher->send_wait(*topic, gradient) == PENSTOCK_OK ? 0 : 1;
}
