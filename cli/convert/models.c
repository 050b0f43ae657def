#include "cli/convert/models.h"

#include <stddef.h>

#define SHAPE_170M \
    "\"hidden_dim\": 768, \"cond_dim\": 128, \"n_blocks\": 12, \"n_heads\": 12, \"dropout\": 0.1"

static const struct published_model models[] = {
    {ARCHITECTURE_MDLM, "kuleshov-group/{mdlm-owt,mdlm-noeos-owt}", 169.63, "Apache-2.0", "model.safetensors",
     "gpt2",
     "{\"model_type\": \"mdlm\", \"vocab_size\": 50258, \"model_length\": 1024, " SHAPE_170M
     ", \"time_conditioning\": false, \"return_dict\": false}"},
    {ARCHITECTURE_SEDD, "louaaron/{sedd-small,sedd-medium}", 169.63, "MIT", "model.safetensors", "gpt2",
     "{\"tokens\": 50257, \"graph\": {\"type\": \"absorb\"}, \"noise\": {\"type\": \"loglinear\"}, "
     "\"model\": "
     "{\"hidden_size\": 768, \"cond_dim\": 128, \"n_blocks\": 12, \"n_heads\": 12, \"length\": 1024, "
     "\"scale_by_sigma\": true, \"dropout\": 0.1}}"},
    {ARCHITECTURE_DUO, "s-sahoo/{duo,duo-distilled}, and IDLM's", 169.63, "see its page", "model.safetensors",
     "gpt2",
     "{\"model_type\": \"duo\", \"vocab_size\": 50258, \"model_length\": 1024, " SHAPE_170M
     ", \"causal\": false, \"var_min\": true}"},
    {ARCHITECTURE_UDLM, "kuleshov-group/udlm-lm1b", 139.29, "see its page", "model.safetensors",
     "google-bert/bert-base-uncased",
     "{\"model_type\": \"udlm\", \"vocab_size\": 30522, \"model_length\": 128, " SHAPE_170M
     ", \"time_conditioning\": true, \"cfg\": false, \"cfg_num_classes\": -1}"},
    {ARCHITECTURE_GIDD, "dvruette/gidd-{small,base}-p_unif-{0.0,0.1,0.2}", 169.63, "see its page",
     "model.safetensors tokenizer.json", NULL,
     "{\"model_type\": \"dit\", \"vocab_size\": 50259, \"max_seq_len\": 512, \"hidden_size\": 768, "
     "\"timestep_cond_dim\": 128, \"num_hidden_layers\": 12, \"num_attention_heads\": 12, \"p_uniform\": "
     "0.2, "
     "\"t_eps\": 0.0001, \"attention_dropout\": 0.0}"},
    {ARCHITECTURE_BD3LM, "kuleshov-group/bd3lm-owt-block_size{4,8,16}", 169.63, "see its page",
     "model.safetensors", "gpt2",
     "{\"model_type\": \"bd3lm\", \"vocab_size\": 50258, \"model_length\": 1024, " SHAPE_170M
     ", \"block_size\": 16, \"cross_attn\": true, \"adaln\": true, \"causal\": false, \"time_conditioning\": "
     "false, "
     "\"attn_backend\": \"flex\"}"},
};

const struct published_model *published_model_at(int index)
{
    return index >= 0 && index < (int)(sizeof models / sizeof *models) ? &models[index] : NULL;
}
