#include <stdio.h>

#include "cli/command.h"
#include "cli/convert/models.h"
#include "common/model/network.h"

static const char program[] = "millrace models";

static void print_model(const struct published_model *model)
{
    char solvers[160];
    const struct network *network = network_of(model->architecture);
    printf("%-7s %s\n", network->name, network->summary);
    printf("        %s\n", model->name);
    printf("        %.1f million parameters, licence of the weights: %s\n", model->millions, model->licence);
    printf("        solvers: %s\n\n", network_solvers(network, solvers, sizeof solvers));
}

static void print_commands(void)
{
    fputs("To get one, with the hub's own tool (pip install huggingface_hub):\n\n"
          "  hf download kuleshov-group/mdlm-owt --include '*.json' '*.safetensors' --local-dir mdlm-owt\n"
          "  hf download gpt2 tokenizer.json --local-dir mdlm-owt\n"
          "  millrace generate --model-dir mdlm-owt \"Once upon a time\"\n\n"
          "MDLM, SEDD, Duo and BD3-LM have GPT-2's tokenizer, UDLM has google-bert/bert-base-uncased's, GIDD "
          "its own.\n"
          "Where the weights are a pytorch_model.bin or a .ckpt, make a model directory of them first:\n\n"
          "  millrace convert DIR/pytorch_model.bin NEW --tokenizer DIR/tokenizer.json\n"
          "  millrace convert duo.ckpt NEW --family duo --tokenizer DIR/tokenizer.json\n\n"
          "Apple's FS-DFM (fs-dfm, dfm) is converted too: millrace convert checkpoint.pth NEW.\n",
          stdout);
}

int models_main(int argc, char **argv)
{
    static const struct option_row rows[] = {{NULL}};
    const struct option_table table = {
        program,
        "Lists the published models that can be served, and how to get them. A config.json is read as it is "
        "published,\n"
        "and one that would compute something else is refused by the name of its key.",
        "",
        "millrace models",
        rows,
        0,
    };
    char **operands;
    int n_operands;
    const int code = command_options(&table, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    for (int i = 0; published_model_at(i); i++)
        print_model(published_model_at(i));
    print_commands();
    return EXIT_CODE_OK;
}
