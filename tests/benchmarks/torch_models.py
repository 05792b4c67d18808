"""Networks of torchvision, timm and transformers with random weights, read by `gn.from_torch` and held against PyTorch.

    python tests/benchmarks/torch_models.py [NAME ...] [--library torchvision|timm|transformers] [--seconds 120]
        [--json FILE] [--table]

A name is one of the architectures below. Each is made small, and read in float64 with names for the batch and for the
length of sequences, where PyTorch leaves these open. It is compared at the example's sizes and at others, in values and
in the gradients of all weights. Each runs in a process of its own, which is ended after so many seconds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import graphnn as gn

TORCHVISION: dict[str, dict[str, Any]] = {
    "alexnet": {"size": 64},
    "vgg11_bn": {"size": 32},
    "resnet18": {},
    "resnext50_32x4d": {},
    "densenet121": {},
    "squeezenet1_1": {},
    "googlenet": {"size": 64, "aux_logits": False, "init_weights": False},
    "inception_v3": {"size": 96, "aux_logits": False, "init_weights": False},
    "mobilenet_v2": {},
    "mobilenet_v3_small": {},
    "mnasnet0_5": {},
    "shufflenet_v2_x0_5": {},
    "efficientnet_b0": {},
    "efficientnet_v2_s": {},
    "regnet_y_400mf": {},
    "convnext_tiny": {},
    "vit_b_16": {"image_size": 32, "size": 32},
    "swin_t": {},
    "swin_v2_t": {"size": 64},
    "maxvit_t": {"size": 224},
    "fcn_resnet50": {"size": 32, "weights_backbone": None},
    "deeplabv3_mobilenet_v3_large": {"size": 32, "weights_backbone": None},
    "lraspp_mobilenet_v3_large": {"size": 32, "weights_backbone": None},
    "r3d_18": {"frames": 4, "size": 16},
    "r2plus1d_18": {"frames": 4, "size": 16},
    "s3d": {"frames": 16, "size": 224},
}
TIMM = (
    *("resnet18", "resnet26d", "resnext26ts", "seresnet18", "convnext_atto", "convnextv2_atto", "efficientnet_b0"),
    *("mobilenetv3_small_050", "mobilenetv4_conv_small_035"),
    *("ghostnet_050", "vit_tiny_patch16_224", "deit_tiny_patch16_224"),
    *("beit_base_patch16_224", "swin_tiny_patch4_window7_224", "mixer_s32_224", "resmlp_12_224", "gmlp_ti16_224"),
    *("poolformer_s12", "regnetx_002", "regnety_002", "dla34", "darknet53", "hardcorenas_a", "edgenext_xx_small"),
    *("mobilevit_xxs", "levit_128s", "pit_ti_224", "cait_xxs24_224", "crossvit_tiny_240", "coat_lite_tiny"),
    *("tnt_s_patch16_224", "twins_svt_small", "xcit_nano_12_p16_224", "focalnet_tiny_srf", "fastvit_t8", "repvgg_a0"),
    *("rexnet_100", "tinynet_e", "lcnet_035", "fbnetc_100", "inception_next_atto", "caformer_s18", "volo_d1_224"),
    *("efficientformer_l1", "efficientformerv2_s0", "eva02_tiny_patch14_224"),
    *("hiera_tiny_224", "nfnet_f0", "starnet_s1"),
    *("vitamin_small_224", "res2net50_14w_8s", "skresnet18"),
    *("selecsls42", "vovnet39a", "densenet121", "maxvit_rmlp_pico_rw_256"),
)  # fmt: skip

_DECODERS = (
    *(
        "gpt2",
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma",
        "gemma2",
        "gemma3_text",
        "phi",
        "phi3",
        "falcon",
        "gpt_neox",
    ),
    *(
        "gptj",
        "gpt_neo",
        "opt",
        "bloom",
        "mpt",
        "codegen",
        "starcoder2",
        "stablelm",
        "cohere",
        "cohere2",
        "olmo",
        "olmo2",
    ),
    *("granite", "glm", "glm4", "nemotron", "persimmon", "smollm3", "ernie4_5", "helium", "exaone4", "biogpt", "xglm"),
    *("mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v3", "deepseek_v2", "olmoe", "phimoe", "granitemoe", "gpt_oss"),
    *(
        "mamba",
        "mamba2",
        "falcon_mamba",
        "rwkv",
        "recurrent_gemma",
        "jamba",
        "bamba",
        "openai-gpt",
        "ctrl",
        "xlnet",
    ),
)
_ENCODERS = (
    *(
        "bert",
        "roberta",
        "distilbert",
        "albert",
        "electra",
        "deberta",
        "deberta-v2",
        "mpnet",
        "xlm-roberta",
        "camembert",
    ),
    *(
        "convbert",
        "squeezebert",
        "mobilebert",
        "fnet",
        "roformer",
        "modernbert",
        "ibert",
        "ernie",
    ),
    *(
        "megatron-bert",
        "rembert",
        "xlm",
        "flaubert",
        "layoutlm",
        "canine",
        "big_bird",
        "longformer",
        "yoso",
        "xmod",
    ),
    *("esm", "data2vec-text", "splinter", "luke", "nomic_bert", "eurobert"),
)
_SEQ2SEQ = (
    *("t5", "mt5", "umt5", "bart", "mbart", "pegasus", "marian", "blenderbot", "blenderbot-small", "m2m_100", "plbart"),
    *("longt5", "led", "prophetnet", "bigbird_pegasus", "fsmt", "nllb-moe", "mvp"),
)
_IMAGES = (
    *("vit", "deit", "beit", "swin", "swinv2", "dinov2", "dinov3_vit", "convnext", "convnextv2", "segformer", "resnet"),
    *("regnet", "mobilenet_v2", "mobilevit", "poolformer", "pvt", "pvt_v2", "data2vec-vision", "hiera"),
    *(
        "focalnet",
        "efficientnet",
        "vit_mae",
        "vit_msn",
        "ijepa",
        "yolos",
        "detr",
        "deformable_detr",
        "glpn",
        "dpt",
        "swiftformer",
    ),
)
_AUDIO = (
    "wav2vec2",
    "hubert",
    "wavlm",
    "whisper",
    "speech_to_text",
    "audio-spectrogram-transformer",
    "unispeech",
    "sew",
    "data2vec-audio",
)
_BOTH = ("clip", "siglip", "blip", "chinese_clip", "clipseg", "groupvit", "altclip")
TRANSFORMERS = {
    **dict.fromkeys(_DECODERS, "text"),
    **dict.fromkeys(_ENCODERS, "text"),
    **dict.fromkeys(_SEQ2SEQ, "pair"),
    **dict.fromkeys(_IMAGES, "image"),
    **dict.fromkeys(_AUDIO, "audio"),
    **dict.fromkeys(_BOTH, "both"),
}

SMALL: dict[str, Any] = {
    **dict.fromkeys(
        (
            "hidden_size",
            "d_model",
            "n_embd",
            "dim",
            "embedding_size",
            "word_embed_proj_dim",
            "projection_dim",
            "projection_size",
        ),
        32,
    ),
    **dict.fromkeys(("emb_dim", "attention_hidden_size", "lru_width", "conv_dim_out", "embed_dim_text"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_decoder_layers", "num_encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "num_encoder_attention_heads", "num_decoder_attention_heads"), 4),
    **dict.fromkeys(
        ("intermediate_size", "n_inner", "ffn_dim", "hidden_dim", "encoder_ffn_dim", "decoder_ffn_dim"), 48
    ),
    **dict.fromkeys(("d_ff", "d_inner", "dff", "moe_intermediate_size", "shared_expert_intermediate_size"), 48),
    **dict.fromkeys(("vocab_size", "src_vocab_size", "tgt_vocab_size"), 99),
    **dict.fromkeys(
        ("max_position_embeddings", "n_positions", "max_source_positions", "max_target_positions", "n_ctx"), 64
    ),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "multi_query_group_num"), 2),
    **dict.fromkeys(("head_dim", "d_kv", "attention_head_size", "qk_nope_head_dim", "v_head_dim", "qk_head_dim"), 8),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("pad_token_id",), 0),
    **dict.fromkeys(("bos_token_id", "cls_token_id"), 1),
    **dict.fromkeys(("eos_token_id", "sep_token_id", "decoder_start_token_id"), 2),
    **dict.fromkeys(("num_experts_per_tok", "moe_k"), 2),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_rope_head_dim",), 4),
    **dict.fromkeys(("image_size",), 32),
    **dict.fromkeys(("patch_size",), 8),
    **dict.fromkeys(("rotary_dim",), 4),
}
"""What is set in a configuration, where it has it."""
OWN: dict[str, dict[str, Any]] = {
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 4},
    "deepseek_v3": {"n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "head_dim": 4, "num_key_value_heads": 4},
    "deepseek_v2": {
        "n_group": 2,
        "topk_group": 1,
        "first_k_dense_replace": 1,
        "topk_method": "greedy",
        "head_dim": 4,
        "num_key_value_heads": 4,
    },
    "qwen2_moe": {"decoder_sparse_step": 1},
    "qwen3_moe": {"decoder_sparse_step": 1},
    "mamba": {"intermediate_size": 64, "state_size": 4, "time_step_rank": 4},
    "falcon_mamba": {"intermediate_size": 64, "state_size": 4, "time_step_rank": 4},
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 2, "chunk_size": 4},
    "bamba": {
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 2,
        "mamba_chunk_size": 4,
        "attn_layer_indices": [1],
    },
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "use_mamba_kernels": False,
        "mamba_dt_rank": 4,
        "mamba_d_state": 4,
    },
    "recurrent_gemma": {"block_types": ["recurrent", "attention"], "attention_window_size": 8},
    "xlnet": {"d_head": 8},
    "canine": {
        "num_hash_buckets": 32,
        "upsampling_kernel_size": 4,
        "local_transformer_stride": 8,
        "downsampling_rate": 2,
    },
    "big_bird": {"attention_type": "original_full"},
    "bigbird_pegasus": {"attention_type": "original_full"},
    "longformer": {"attention_window": [4, 4]},
    "led": {"attention_window": [4, 4], "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64},
    "xmod": {"default_language": "en_XX"},
    "mobilebert": {"embedding_size": 16, "true_hidden_size": 16, "intra_bottleneck_size": 16},
    "squeezebert": {
        **dict.fromkeys(
            ("q_groups", "k_groups", "v_groups", "post_attention_groups", "intermediate_groups", "output_groups"), 2
        ),
        "embedding_size": 32,
    },
    "modernbert": {"local_attention": 4, "global_attn_every_n_layers": 2},
    "esm": {"position_embedding_type": "rotary", "mask_token_id": 4},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "prophetnet": {"num_encoder_layers": 2, "num_decoder_layers": 2},
    "xglm": {"attention_heads": 4, "num_layers": 2},
    "swin": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4, "patch_size": 4},
    "swinv2": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4, "patch_size": 4},
    "hiera": {
        "embed_dim": 16,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "image_size": [32, 32],
        "patch_size": [7, 7],
        "patch_stride": [4, 4],
        "masked_unit_size": [4, 4],
        "query_stride": [2, 2],
        "num_query_pool": 1,
    },
    "focalnet": {
        "embed_dim": 16,
        "depths": [1, 1],
        "hidden_sizes": [16, 32],
        "focal_levels": [2, 2],
        "focal_windows": [3, 3],
        "patch_size": 4,
    },
    "convnext": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_stages": 4, "patch_size": 4},
    "convnextv2": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_stages": 4, "patch_size": 4},
    "segformer": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 4]},
    "glpn": {
        "hidden_sizes": [8, 16, 16, 32],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 2, 2, 4],
        "decoder_hidden_size": 16,
    },
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "layer_type": "basic"},
    "regnet": {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "groups_width": 8},
    "mobilevit": {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 32], "patch_size": 2},
    "poolformer": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "patch_size": 16},
    "pvt": {
        "hidden_sizes": [8, 16, 16, 32],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 2, 2, 4],
        "image_size": 64,
    },
    "pvt_v2": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 4]},
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320},
    "swiftformer": {"depths": [1, 1, 1, 1], "embed_dims": [8, 16, 16, 32]},
    "detr": {"backbone_config": None, "num_queries": 4, "d_model": 32},
    "dpt": {"backbone_out_indices": [0, 1], "neck_hidden_sizes": [8, 16], "reassemble_factors": [2, 1]},
    "yolos": {"image_size": [32, 32], "num_detection_tokens": 4},
    "dinov3_vit": {"num_register_tokens": 2},
    "whisper": {"num_mel_bins": 8, "max_source_positions": 16},
    "speech_to_text": {
        "input_feat_per_channel": 8,
        "conv_channels": 16,
        "conv_kernel_sizes": [3, 3],
        "max_source_positions": 64,
    },
    "audio-spectrogram-transformer": {"num_mel_bins": 16, "max_length": 32},
    "blenderbot-small": {"d_model": 32},
}
_SPEECH = {
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 2, 2],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
for _name in ("wav2vec2", "hubert", "wavlm", "unispeech", "data2vec-audio", "sew"):
    OWN[_name] = dict(_SPEECH)
OWN["sew"] |= {"squeeze_factor": 1, "conv_stride": [5, 2, 2]}


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Case:
    """A network with a way to make inputs.

    Attributes
    ----------
    module : torch.nn.Module
    batch : callable
        Takes the batch and the length; returns arguments by name.
    names : dict of dict
        {argument: {axis: name}}.
    """

    def __init__(
        self, module: Any, batch: Callable[[int, int], dict[str, Any]], names: dict[str, dict[int, str]]
    ) -> None:
        self.module, self.batch, self.names = module.double(), batch, names
        torch.manual_seed(1)
        with torch.no_grad():
            for weight in self.module.parameters():
                weight.add_(0.02 * torch.randn_like(weight))


def of_torchvision(name: str) -> Case:
    import torchvision

    settings = dict(TORCHVISION.get(name, {}))
    size, frames = settings.pop("size", 64), settings.pop("frames", None)
    module = torchvision.models.get_model(name, weights=None, **settings, num_classes=7)
    shape = (3, size, size) if frames is None else (3, frames, size, size)
    first = next(iter(__import__("inspect").signature(module.forward).parameters))
    return Case(module, lambda n, t: {first: torch.randn(n, *shape)}, {first: {0: "n"}})


def of_timm(name: str) -> Case:
    import timm

    sizes: dict[str, Any] = {"num_classes": 7}
    try:
        module = timm.create_model(name, img_size=64, **sizes)
        size = 64
    except Exception:  # noqa: BLE001 - the row tells it
        module = timm.create_model(name, **sizes)
        wanted = module.pretrained_cfg["input_size"][-1]
        size = wanted if module.pretrained_cfg.get("fixed_input_size") else 64
    return Case(module, lambda n, t: {"x": torch.randn(n, 3, size, size)}, {"x": {0: "n"}})


def _shrunk(config: Any, more: dict[str, Any]) -> Any:
    """Set in a configuration, and in those inside of it, what makes a small network."""
    for key, value in {**SMALL, **more}.items():
        if key in more or (
            hasattr(config, key) and (isinstance(getattr(config, key), int) or getattr(config, key) is None)
        ):
            try:
                setattr(config, key, value)
            except (AttributeError, NotImplementedError, ValueError):
                continue
    for key in ("text_config", "vision_config", "encoder", "decoder", "text_encoder_config"):
        inner = getattr(config, key, None)
        if inner is not None and hasattr(inner, "to_dict"):
            _shrunk(inner, {})
    for key in ("layer_types", "mlp_layer_types", "layers_block_type", "attention_layers"):
        found = getattr(config, key, None)
        if isinstance(found, list) and len(found) > 2 and key not in more:
            setattr(config, key, found[:2])
    return config


def of_transformers(name: str) -> Case:
    import transformers

    transformers.logging.set_verbosity_error()
    kind = TRANSFORMERS[name]
    base = transformers.CONFIG_MAPPING[name]
    own = dict(OWN.get(name, {}))
    default = base()
    accepted = {
        key: value
        for key, value in SMALL.items()
        if hasattr(default, key) and isinstance(getattr(default, key), (int, type(None)))
    }
    attempts = ({**accepted, **own}, own)
    config = None
    for settings in attempts:
        try:
            config = _shrunk(base(**{key: value for key, value in settings.items() if value is not None}), own)
            break
        except Exception:  # noqa: BLE001 - the row tells it
            continue
    if config is None:
        config = _shrunk(base(), own)
    if name == "detr":
        config.backbone_config = _shrunk(
            transformers.ResNetConfig(**OWN["resnet"], out_features=["stage4"]), OWN["resnet"]
        )
    for key in ("use_cache", "output_attentions", "use_kernels"):
        if hasattr(config, key):
            setattr(config, key, False)
    extra: dict[str, Any] = {}
    if any("expert" in key for key in vars(config)):
        extra["experts_implementation"] = "batched_mm"
    torch.manual_seed(0)
    module = None
    for kwargs in (extra, {}):
        try:
            module = transformers.AutoModel.from_config(config, **kwargs)
            break
        except Exception as error:  # noqa: BLE001 - the row tells it
            last = error
    if module is None:
        raise last

    def ids(n: int, t: int) -> Any:
        return torch.randint(3, 99, (n, t))

    if kind == "text":
        return Case(module, lambda n, t: {"input_ids": ids(n, t)}, {"input_ids": {0: "n", 1: "t"}})
    if kind == "pair":
        return Case(
            module, lambda n, t: {"input_ids": ids(n, t), "decoder_input_ids": ids(n, t + 1)},
            {"input_ids": {0: "n", 1: "t"}, "decoder_input_ids": {0: "n", 1: "s"}},
        )  # fmt: skip
    size = getattr(config, "image_size", None) or 64
    size = size[0] if isinstance(size, (list, tuple)) else size
    vision = getattr(config, "vision_config", None)
    if vision is not None:
        size = getattr(vision, "image_size", 32)
    if kind == "image":
        size = max(size, 32)
        return Case(module, lambda n, t: {"pixel_values": torch.randn(n, 3, size, size)}, {"pixel_values": {0: "n"}})
    if kind == "both":
        return Case(
            module, lambda n, t: {"input_ids": ids(n, t), "pixel_values": torch.randn(n, 3, size, size)},
            {"input_ids": {0: "n"}, "pixel_values": {0: "n"}},
        )  # fmt: skip
    if name == "whisper":
        return Case(
            module, lambda n, t: {"input_features": torch.randn(n, 8, 32), "decoder_input_ids": ids(n, t)},
            {"input_features": {0: "n"}, "decoder_input_ids": {0: "n", 1: "t"}},
        )  # fmt: skip
    if name == "speech_to_text":
        return Case(
            module, lambda n, t: {"input_features": torch.randn(n, 24, 8), "decoder_input_ids": ids(n, t)},
            {"input_features": {0: "n"}, "decoder_input_ids": {0: "n", 1: "t"}},
        )  # fmt: skip
    if name == "audio-spectrogram-transformer":
        return Case(module, lambda n, t: {"input_values": torch.randn(n, 32, 16)}, {"input_values": {0: "n"}})
    return Case(module, lambda n, t: {"input_values": torch.randn(n, 400)}, {"input_values": {0: "n"}})


MAKERS = {"torchvision": of_torchvision, "timm": of_timm, "transformers": of_transformers}


def compared(graph: gn.Graph, module: Any, given: dict[str, Any], derivatives: dict[str, Any]) -> tuple[float, float]:
    """Return how far values and gradients are off PyTorch's, relative to the largest of each."""
    leaves = torch.utils._pytree.tree_leaves
    results = [each for each in leaves(module(**given)) if isinstance(each, torch.Tensor)]
    nodes = list(graph.outputs.values())
    if len(results) != len(nodes):
        raise ValueError(f"{len(nodes)} results and not {len(results)}")
    torch.manual_seed(2)
    factors = [torch.randn(each.shape) if each.is_floating_point() else None for each in results]
    weights = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    total = sum((each * w).sum() for each, w in zip(results, factors, strict=True) if w is not None)
    slopes = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
    if not derivatives:
        floats = [place for place, w in enumerate(factors) if w is not None]
        seeds = {place: graph.placeholder(f"seed{place}", nodes[place].shape, "float64") for place in floats}
        loss = sum(gn.sum(nodes[place] * seed) for place, seed in seeds.items())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            derivatives["nodes"] = gn.grad(loss, [graph[name] for name in weights])
    feed = {
        name: each.numpy()
        for name, each in zip([n for n in graph.inputs if not n.startswith("seed")], leaves(given), strict=True)
    }
    feed |= {f"seed{place}": w.numpy() for place, w in enumerate(factors) if w is not None}
    found = gn.run([*nodes, *derivatives["nodes"]], feed)
    with np.errstate(all="ignore"):
        values = max(_apart(a, b.detach().numpy()) for a, b in zip(found, results, strict=False))
        most = max((float(each.abs().max()) for each in slopes if each is not None), default=0.0)
        gradients = 0.0
        for own, expected in zip(found[len(nodes) :], slopes, strict=True):
            expected = np.zeros_like(own) if expected is None else expected.numpy()
            gradients = max(gradients, _apart(own, expected, 1e-3 * most))
    return values, gradients


def _apart(a: Any, b: Any, floor: float = 0.0) -> float:
    if a.shape != b.shape:
        return float("inf")
    if not b.size or np.array_equal(a, b, equal_nan=b.dtype.kind == "f"):
        return 0.0
    found = float(np.abs(a * 1.0 - b * 1.0).max() / max(float(np.abs(b).max()), floor, 1e-300))
    return found if found == found else float("inf")


def tried(library: str, name: str) -> dict[str, Any]:
    """Read a network, compare it, and return the row of the table."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    case = MAKERS[library](name)
    module = case.module.eval()
    row: dict[str, Any] = {
        "library": library,
        "name": name,
        "weights": sum(each.numel() for each in module.parameters()),
    }
    sizes = {axis for each in case.names.values() for axis in each.values()}
    given = case.batch(2, 6)
    with torch.no_grad():
        try:
            module(**given)
        except Exception as error:  # noqa: BLE001 - the row tells it
            return row | {"error": f"PyTorch cannot run it: {type(error).__name__}: {str(error)[:200]}", "made": False}
    row["made"] = True
    open_sizes: list[dict[str, dict[int, str]]] = [case.names]
    if len(sizes) > 1:
        open_sizes.append({key: {axis: n for axis, n in each.items() if n == "n"} for key, each in case.names.items()})
    open_sizes.append({})
    graph, said = None, []
    for names in open_sizes:
        start = time.perf_counter()
        try:
            dims = [names.get(key) for key in given] if names else None
            graph = gn.from_torch(module, **given, dims=dims, check=False)
            row["seconds"] = time.perf_counter() - start
            row["open"] = sorted({axis for each in names.values() for axis in each.values()})
            break
        except gn.GraphnnError as error:
            said.append(str(error).splitlines()[0][:300])
    if said:
        row["refused"] = said
    if graph is None:
        return row
    row["nodes"] = len(graph)
    row["scopes"] = len(graph.scopes)
    derivatives: dict[str, Any] = {}
    torch.manual_seed(3)
    row["apart"] = [compared(graph, module, case.batch(2, 6), derivatives)]
    if row["open"]:
        n, t = 3, 9 if "t" in row["open"] else 6
        row["apart"].append(compared(graph, module, case.batch(n, t), derivatives))
    return row


def _child(library: str, name: str, pipe: Any) -> None:
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    try:
        row = tried(library, name)
    except BaseException as error:  # noqa: BLE001 - the row tells it
        row = {"library": library, "name": name, "error": f"{type(error).__name__}: {str(error)[:400]}", "made": None}
    pipe.send({**row, "whole": time.perf_counter() - start})


def apart_from(library: str, name: str, seconds: float) -> dict[str, Any]:
    """Return the row of a network that is tried in a process of its own."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_child, args=(library, name, there))
    process.start()
    there.close()
    try:
        return dict(here.recv()) if here.poll(seconds) else {"library": library, "name": name, "error": "too long"}
    except EOFError:
        return {"library": library, "name": name, "error": "the process ended"}
    finally:
        process.kill()
        process.join()


def shown(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    name = f"{row['library']}/{row['name']}"
    if "apart" not in row:
        said = row.get("error") or row.get("refused", [""])[-1]
        return f"| {name} | no | | | | {said.replace('|', '/')[:160]} |"
    values, slopes = (max(each[place] for each in row["apart"]) for place in (0, 1))
    sizes = ", ".join(row["open"]) or "-"
    return f"| {name} | {sizes} | {values:.0e} | {slopes:.0e} | {row['nodes']:,} | {row['seconds']:.1f} s |"


def summary(rows: list[dict[str, Any]]) -> str:
    """Return the counts of each library."""
    lines = []
    for library in MAKERS:
        own = [row for row in rows if row["library"] == library and row.get("made", True)]
        read = [row for row in own if "apart" in row]
        apart = [max(max(each) for each in row["apart"]) for row in read]
        within = ", ".join(f"{sum(each <= bound for each in apart)} within {bound:g}" for bound in (1e-9, 1e-6, 1e-5))
        lines.append(f"{library}: {len(own)} tried, {len(read)} read, {within}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--library", choices=[*MAKERS])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    known = {"torchvision": [*TORCHVISION], "timm": [*TIMM], "transformers": [*TRANSFORMERS]}
    rows: list[dict[str, Any]] = json.loads(asked.json.read_text()) if asked.json and asked.json.exists() else []
    todo = [
        (library, name)
        for library, names in known.items()
        if asked.library in (None, library)
        for name in names
        if not asked.names or name in asked.names
    ]
    for library in {library for library, _ in todo}:
        __import__(library)
    for library, name in [] if asked.table else todo:
        row = apart_from(library, name, asked.seconds)
        rows = [each for each in rows if (each["library"], each["name"]) != (library, name)] + [row]
        say(shown(row))
        if asked.json:
            asked.json.write_text(json.dumps(rows, indent=1))
    if asked.table:
        say("\n".join(shown(row) for row in rows))
    say(summary(rows))


if __name__ == "__main__":
    main()
