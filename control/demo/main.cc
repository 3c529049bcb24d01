// penstock-demo: the programs of the main job (see deploy/run), one subcommand each.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "control/demo/job.h"

int main(int argc, char** argv) {
  using penstock::demo::JobOptions;
  using penstock::demo::Outcome;

  CLI::App app("Programs of the main job: gradients in, weights out. deploy/run runs them all.");
  app.require_subcommand(1);
  JobOptions options;
  Outcome (*run)(const JobOptions&) = nullptr;
  const auto program = [&](const char* name, const char* what,
                           Outcome (*entry)(const JobOptions&)) {
    CLI::App* sub = app.add_subcommand(name, what);
    sub->add_option("--data", options.digits, "the digits to learn from, as CSV")->required();
    sub->add_option("--weights-out", options.weights_out, "file for the last weights, raw floats");
    sub->add_option("--ranks", options.ranks, "how many trainers")->check(CLI::Range(1, 1024));
    sub->add_option("--steps", options.steps, "of gradient descent")
        ->check(CLI::Range(1, 1'000'000));
    sub->callback([&run, entry] { run = entry; });
    return sub;
  };
  CLI::App* trainer =
      program("trainer", "learns from a share of the digits", penstock::demo::run_trainer);
  CLI::App* server =
      program("server", "sums gradients and moves the weights", penstock::demo::run_server);
  program("reference", "does the whole job in one process", penstock::demo::run_reference);
  for (CLI::App* sub : {trainer, server})
    sub->add_option("--socket", options.socket, "of the node to attach to")->required();
  trainer->add_option("--rank", options.rank, "of this trainer, from 0")->required();
  CLI11_PARSE(app, argc, argv);

  if (run == penstock::demo::run_trainer && options.rank >= options.ranks) {
    std::fprintf(stderr, "penstock-demo: --rank %u: there are %u ranks\n", options.rank,
                 options.ranks);
    return 2;
  }
  const Outcome outcome = run(options);
  if (!outcome) std::fprintf(stderr, "penstock-demo: %s\n", outcome.error().c_str());
  return outcome ? 0 : 1;
}
