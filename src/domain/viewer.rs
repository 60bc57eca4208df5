use crate::domain::pipeline::PipelineKey;

/// Who looks, and so what may be shown.
///
/// Every route and resolver takes one. At first everyone sees everything; access rules will find their place here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Viewer;

impl Viewer {
    /// Whether this viewer may see the pipeline. What may not be seen does not exist for them.
    #[allow(clippy::unused_self, clippy::trivially_copy_pass_by_ref, reason = "the answer will depend on the viewer")]
    pub fn may_see(&self, _pipeline: &PipelineKey) -> bool {
        true
    }

    /// What tells apart viewers who may see different things: part of every key under which answers are shared.
    #[allow(clippy::unused_self, clippy::trivially_copy_pass_by_ref, reason = "the answer will depend on the viewer")]
    pub fn scope(&self) -> &'static [u8] {
        b"everything"
    }
}
